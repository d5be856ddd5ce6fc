"""`pocketface profile`: what networks cost here, in time, memory, bytes and arithmetic."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pocketface.profile.result import ModelProfile, Profile
    from pocketface.profile.text import Table as TextTable
    from pocketface.profile.tradeoff import Tradeoff

_TRADEOFF = "Trade-off against published networks"
_PRIMITIVES = "Latency table for a search"


def profile(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Names (`pocketface models`), .safetensors, exported files."),
    ] = None,
    runtimes: Annotated[
        list[str] | None,
        typer.Option("--runtime", help="onnxruntime, openvino, torch.", show_default="all here"),
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", min=1, help="Threads.", show_default="1")
    ] = None,
    batches: Annotated[
        list[int] | None, typer.Option("--batch", min=1, help="Images at once.", show_default="1")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0, help="Longest to measure.", show_default="30"),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="The time of each layer.")] = False,
    size: Annotated[
        int | None, typer.Option("--size", help="Image size, where it is free to choose.")
    ] = None,
    predict: Annotated[
        Path | None,
        typer.Option("--predict", help="Latency table that predicts PocketNets, to compare."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for JSON, Markdown, page and pictures.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
    reports: Annotated[
        list[Path] | None,
        typer.Option(
            "--accuracy",
            help="report.json of `evaluate`, or its folder: draws accuracy against cost.",
            rich_help_panel=_TRADEOFF,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--tradeoff",
            help="Sets to draw, such as LFW.",
            show_default="those of the reports",
            rich_help_panel=_TRADEOFF,
        ),
    ] = None,
    primitives: Annotated[
        Path | None,
        typer.Option(
            "--primitives",
            help="Write the latencies of all primitives to this file, or add to it; with names: "
            "all that networks of their sizes can be made of.",
            rich_help_panel=_PRIMITIVES,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            help="Sizes of maps.",
            show_default="56,28,14,7",
            rich_help_panel=_PRIMITIVES,
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            "--widths",
            help="Channels of a cell's nodes.",
            show_default="16,32,64,128",
            rich_help_panel=_PRIMITIVES,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Measure the table anew.", rich_help_panel=_PRIMITIVES),
    ] = False,
) -> None:
    """Measure what networks cost on this machine, in every runtime that is installed.

    All variants run in turns until their medians are settled or the time is spent; Ctrl-C leaves
    what is measured. Networks by name have drawn weights, which take as long as trained ones.
    """
    from pocketface.errors import RecipeError

    if primitives is not None:
        from pocketface.cli.profile_primitives import measure_table

        alien = {"--batch": batches, "--accuracy": reports, "--tradeoff": columns, "--out": out}
        given = [name for name, value in alien.items() if value] + ["--layers"] * layers
        if given:
            raise RecipeError(f"{', '.join(given)} has no meaning with --primitives. Leave it out.")
        measure_table(
            primitives,
            networks=models or [],
            runtimes=runtimes or ["onnxruntime"],
            threads=threads or [1],
            sizes=sizes,
            widths=widths,
            seconds=seconds,
            overwrite=overwrite,
            as_json=as_json,
        )
        return
    if sizes or widths or overwrite:
        raise RecipeError("--sizes, --widths and --overwrite belong to --primitives FILE.")
    if not models:
        raise RecipeError(
            "Say what to profile: names of networks (`pocketface models` lists them), .safetensors "
            "or exported files; or measure a latency table with --primitives FILE."
        )
    if (reports or columns) and out is None:
        raise RecipeError("The trade-off is a picture: say where with --out FOLDER.")
    _profile(
        models,
        runtimes,
        list(dict.fromkeys(threads or [1])),
        list(dict.fromkeys(batches or [1])),
        30.0 if seconds is None else seconds,
        layers=layers,
        size=size,
        table=predict,
        out=out,
        as_json=as_json,
        reports=reports or [],
        columns=columns or [],
    )


def _profile(
    models: list[str],
    runtimes: list[str] | None,
    threads: list[int],
    batches: list[int],
    seconds: float,
    *,
    layers: bool,
    size: int | None,
    table: Path | None,
    out: Path | None,
    as_json: bool,
    reports: list[Path],
    columns: list[str],
) -> None:
    import tempfile

    import numpy as np
    from rich.console import Console

    from pocketface.benchmarks.report import check_folder, read_any_report
    from pocketface.errors import StoppedError
    from pocketface.profile.measure import Plan
    from pocketface.profile.measure import profile as measure
    from pocketface.profile.open_subject import open_subjects
    from pocketface.profile.runtimes import TORCH, check_runtime, installed_runtimes

    for name in runtimes or []:
        check_runtime(name)
    usual = [name for name in installed_runtimes() if name != TORCH or not _all_onnx(models)]
    chosen = list(dict.fromkeys(runtimes or usual))
    results = [read_any_report(path / "report.json" if path.is_dir() else path) for path in reports]
    if out is not None:
        check_folder(out)
    plan = Plan(chosen, threads, batches, seconds, layers, table)
    generator = np.random.default_rng(0)
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="pocketface-") as folder, _progress() as tell:
        tell("reading networks", 0, 1)
        subjects = open_subjects(models, Path(folder), generator, size)
        result = measure(subjects, plan, generator, tell)
    drawn: list[Tradeoff] = []
    if results or columns:
        from pocketface.profile.tradeoff import tradeoffs

        drawn = tradeoffs(result, results, columns)
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        _print(console, result)
    if out is not None:
        from pocketface.profile.folder import write_profile

        page = write_profile(out, result, drawn)
        console.print(f"Page: {page}", highlight=False, markup=False, soft_wrap=True)
    if result.stopped:
        raise StoppedError("stopped by Ctrl-C")


def _all_onnx(models: list[str]) -> bool:
    """Whether torch has nothing to run."""
    return all(name.endswith(".onnx") for name in models)


@contextmanager
def _progress() -> Iterator[Callable[[str, float, float], None]]:
    """Show on standard error what is done, and how much time of it is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
    # Refreshed by hand: a thread that draws would take its turns from what is measured.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as bar:
        task = bar.add_task("", total=1, left="")

        def tell(what: str, done: float, total: float) -> None:
            timed = what.startswith("measuring")
            left = f"at most {total - done:.0f} s left" if timed else f"{done:.0f} of {total:.0f}"
            bar.update(task, description=what, completed=done, total=total, left=left, refresh=True)

        yield tell


def _print(console: "Console", result: "Profile") -> None:
    from pocketface.profile.text import LEGEND, about

    for model in result.models:
        _print_model(console, model)
    lines = [*result.warnings(), about(result)]
    if any(model.measurements for model in result.models):
        lines.insert(0, LEGEND)
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _print_model(console: "Console", model: "ModelProfile") -> None:
    from pocketface.profile.text import (
        facts,
        kinds_table,
        latency_table,
        layers_sentence,
        remarks,
        slowest_table,
    )

    console.print(facts(model), highlight=False, markup=False)
    if model.measurements:
        _print_table(console, latency_table(model))
    for line in remarks(model):
        console.print(line, highlight=False, markup=False)
    if model.layers is not None:
        console.print(layers_sentence(model.layers), highlight=False, markup=False)
        _print_table(console, kinds_table(model.layers))
        _print_table(console, slowest_table(model.layers))
    console.print()


def _print_table(console: "Console", content: "TextTable") -> None:
    from rich.table import Table

    # Without a frame a table fits 80 columns.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for place, name in enumerate(content.head):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in content.rows:
        table.add_row(*row)
    console.print(table)
