"""The papers' table, from reports: one row for each network, as Markdown or LaTeX."""

from collections.abc import Iterable, Mapping, Sequence

from pocketface.benchmarks.latex import latex_line
from pocketface.benchmarks.published_table import COLUMNS, EXACT_MFLOPS, TableRow
from pocketface.benchmarks.result import MeasuredModel, Result
from pocketface.errors import DataError


def known_mflops(model: MeasuredModel) -> float | None:
    """The published MFLOPs, if `model` is exactly a network that they were published for."""
    return EXACT_MFLOPS.get((model.architecture, model.parameters or 0))


def rows_of(results: Iterable[Result], mflops: Mapping[str, float]) -> list[TableRow]:
    """One row for each network (by fingerprint), with all columns that its reports fill.

    `mflops` is by fingerprint, for networks whose MFLOPs are known. Raises DataError if two
    reports of one network fill one column differently.
    """
    models: dict[str, MeasuredModel] = {}
    figures: dict[str, dict[str, float]] = {}
    for result in results:
        key = result.model.fingerprint
        models.setdefault(key, result.model)
        row = figures.setdefault(key, {})
        for column, figure in result.paper_columns().items():
            if row.get(column, figure) != figure:
                raise DataError(
                    f"two reports of {result.model.name} give {row[column]:.2f} and {figure:.2f} "
                    f"for {column}: leave one of them out."
                )
            row[column] = figure
    return [
        TableRow(
            name=model.name,
            parameters_m=None if model.parameters is None else model.parameters / 1e6,
            mflops=mflops.get(key, known_mflops(model)),
            figures=figures[key],
        )
        for key, model in models.items()
    ]


def markdown_table(rows: Sequence[TableRow]) -> str:
    """The rows as a Markdown table of the columns that any row fills."""
    head, body = _cells(rows)
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in body]
    return "\n".join(lines) + "\n"


def latex_table(rows: Sequence[TableRow]) -> str:
    """The rows as a LaTeX tabular of the columns that any row fills."""
    head, body = _cells(rows)
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", "\\hline"]
    lines += [latex_line(head), "\\hline", *map(latex_line, body), "\\hline", "\\end{tabular}"]
    return "\n".join(lines) + "\n"


def _cells(rows: Sequence[TableRow]) -> tuple[list[str], list[list[str]]]:
    found = dict.fromkeys(column for row in rows for column in row.figures)
    columns = [column for column in COLUMNS if column in found]
    columns += [column for column in found if column not in COLUMNS]
    body = [
        [
            row.name,
            "-" if row.parameters_m is None else f"{row.parameters_m:.2f}",
            "-" if row.mflops is None else f"{row.mflops:.2f}",
            *(f"{row.figures[key]:.2f}" if key in row.figures else "-" for key in columns),
        ]
        for row in rows
    ]
    return ["Model", "Params (M)", "MFLOPs", *columns], body
