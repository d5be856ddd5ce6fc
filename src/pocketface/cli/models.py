"""`pocketface models`: which networks there are and what they cost."""

from typing import Annotated, Any

import typer


def models(
    pattern: Annotated[
        str, typer.Argument(help="Shell pattern of the names to list, such as 'pocketnet*'.")
    ] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """List the networks with their parameters and cost, beside the published figures."""
    import json

    rows = _rows(pattern)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


def _rows(pattern: str) -> list[dict[str, Any]]:
    """Give one row for each model that matches; RecipeError if none does."""
    from pocketface.errors import RecipeError
    from pocketface.models import list_models, outline_model
    from pocketface.models.cost import measure_cost
    from pocketface.models.published import PUBLISHED

    names = list_models(pattern)
    if not names:
        raise RecipeError(
            f"No model matches {pattern!r}. A pattern covers the whole name: try '*{pattern}*', "
            f"or one of {', '.join(list_models())}."
        )
    rows = []
    for name in names:
        network = outline_model(name)
        cost = measure_cost(network)
        published = PUBLISHED.get(name)
        rows.append(
            {
                "name": name,
                "embedding_size": network.embedding_size,
                "image_size": network.image_size,
                "parameters": cost.parameters,
                "macs": cost.macs,
                "paper_mflops": cost.paper_flops / 1e6,
                "published_parameters_m": published.parameters_m if published else None,
                "published_mflops": published.mflops if published else None,
                "published_in": published.source if published else None,
            }
        )
    return rows


def _print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows for a person."""
    from rich.console import Console
    from rich.table import Table

    # Without a frame, and with one space between columns, the table fits 80 columns.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("name", no_wrap=True)
    for heading in ("D", "image", "parameters", "paper", "MMACs", "MFLOPs*", "paper"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        millions, mflops = row["published_parameters_m"], row["published_mflops"]
        table.add_row(
            row["name"],
            str(row["embedding_size"]),
            str(row["image_size"]),
            f"{row['parameters']:,}",
            f"{millions:.2f} M" if millions else "-",
            f"{row['macs'] / 1e6:,.1f}",
            f"{row['paper_mflops']:,.2f}",
            f"{mflops:,.2f}" if mflops else "-",
        )
    console = Console()
    console.print(table)
    console.print(
        "\nD: length of the embedding. paper: as published. MMACs: millions of\n"
        "multiply-accumulates of convolutions and linear layers.\n"
        "* counted as the PocketNet paper does; no measure of time.",
        markup=False,
        highlight=False,
    )
