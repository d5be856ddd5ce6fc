"""A result's figures, and a comparison's differences, as tables in the terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pocketface.benchmarks.comparison import Comparison
    from pocketface.benchmarks.result import Result, Row


def print_result(console: "Console", result: "Result") -> None:
    """Print a result's figures, and what it says of them."""
    _print_rows(console, f"{result.model.name} on {result.benchmark}", "Value", result.rows())
    for line in (*result.sentences(), f"Embedded in {result.embedding_seconds:.1f} s."):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_comparison(console: "Console", comparison: "Comparison") -> None:
    """Print the differences of two networks."""
    _print_rows(console, f"Against {comparison.second}", "Difference", comparison.rows())
    console.print(comparison.sentence(), highlight=False, markup=False, soft_wrap=True)


def _print_rows(console: "Console", title: str, value: str, rows: "list[Row]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    table.add_column("Figure")
    table.add_column(value, justify="right", no_wrap=True)
    table.add_column("Interval", no_wrap=True)
    table.add_column("Remark")
    for row in rows:
        table.add_row(*row)
    console.print(table)
