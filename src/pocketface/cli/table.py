"""`pocketface table`: the papers' table, from one's own reports and with the published rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pocketface.benchmarks.result import MeasuredModel


def table(
    reports: Annotated[
        list[Path], typer.Argument(help="report.json files, or folders that hold one.")
    ],
    latex: Annotated[bool, typer.Option("--latex", help="LaTeX instead of Markdown.")] = False,
    published: Annotated[
        bool, typer.Option("--published/--no-published", help="Add the papers' own rows.")
    ] = True,
) -> None:
    """Join reports into the papers' table, one row for each network, on standard output."""
    from pocketface.benchmarks.published_table import PUBLISHED
    from pocketface.benchmarks.report import read_any_report
    from pocketface.benchmarks.table import known_mflops, latex_table, markdown_table, rows_of

    results = [read_any_report(path / "report.json" if path.is_dir() else path) for path in reports]
    mflops = {}
    for model in {result.model.fingerprint: result.model for result in results}.values():
        count = known_mflops(model) or _counted(model)
        if count is not None:
            mflops[model.fingerprint] = count
    rows = [*rows_of(results, mflops), *(PUBLISHED if published else ())]
    typer.echo(latex_table(rows) if latex else markdown_table(rows), nl=False)


def _counted(model: "MeasuredModel") -> float | None:
    """MFLOPs by our count, if torch is there and the registry builds exactly this network."""
    from pocketface.errors import PocketFaceError

    if model.architecture == "foreign" or model.preprocessing is None:
        return None
    try:
        from pocketface import models
        from pocketface.models.cost import measure_cost

        backbone = models.create_model(
            model.architecture,
            embedding_size=model.embedding_size,
            image_size=model.preprocessing.image_size,
        )
    except PocketFaceError:
        return None
    cost = measure_cost(backbone)
    return cost.paper_flops / 1e6 if cost.parameters == model.parameters else None
