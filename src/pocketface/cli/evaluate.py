"""`pocketface evaluate`: measure a network on a set of pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketface.cli.foreign import (
    ArchitectureOption,
    MeanOption,
    OrderOption,
    SizeOption,
    StdOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from pocketface.benchmarks.pair_result import PairResult
    from pocketface.embedding import Embedder


def evaluate(
    weights: Annotated[Path, typer.Argument(help="A .onnx, .safetensors, .pt or .pth file.")],
    benchmark: Annotated[
        Path, typer.Argument(help="Pairs: a .bin, an LFW pairs.txt, or a JSON or TSV list.")
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images that the list names.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the report.", show_default="runs/WEIGHTS-on-BENCHMARK"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Sum the embeddings of image and mirror.")
    ] = True,
    scores: Annotated[
        bool, typer.Option("--scores", help="Put every pair's similarity into the JSON.")
    ] = False,
    replicates: Annotated[
        int, typer.Option("--replicates", min=0, help="Bootstrap replicates; 0 for no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the replicates.")] = 0,
    card: Annotated[
        bool, typer.Option("--card/--no-card", help="Write the thresholds to the weights' card.")
    ] = True,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Begin a card for weights that have none.")
    ] = False,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Measure a network on a set of pairs; write a report and the thresholds for `verify`."""
    from rich.console import Console

    from pocketface.benchmarks.pair_benchmark import PairBenchmark
    from pocketface.benchmarks.report import check_folder, write_report
    from pocketface.cli.foreign import load_weights
    from pocketface.cli.progress import images_progress

    console = Console(stderr=as_json)
    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    pairs = PairBenchmark.load(benchmark, images)
    folder = out or Path("runs") / f"{weights.stem}-on-{pairs.name}"
    check_folder(folder)
    with images_progress(f"Embedding {pairs.name}") as progress:
        result = pairs.run(
            embedder,
            progress,
            flip=flip,
            replicates=replicates,
            seed=seed,
            model=weights.stem,
        )
    written = write_report(folder, result, pairs.pairs, scores=scores)
    if as_json:
        typer.echo(result.model_dump_json(exclude=None if scores else {"scores"}))
    else:
        _print_table(console, result)
    console.print(f"Report: {written[-1]}", highlight=False, markup=False, soft_wrap=True)
    text = _record(weights, embedder, result, architecture, update=card, begin=write_card)
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _record(
    weights: Path,
    embedder: "Embedder",
    result: "PairResult",
    architecture: str | None,
    *,
    update: bool,
    begin: bool,
) -> str:
    """Write the thresholds to the card; say what was done and what to type next."""
    from pocketface.benchmarks.thresholds import with_thresholds
    from pocketface.card import ModelCard, card_path, sha256_of
    from pocketface.card import write_card as write

    path = card_path(weights)
    if not update:
        return f"The thresholds were not written to {path}, as asked."
    if not result.operating_points:
        return "No threshold could be measured: the set has too few pairs of two people."
    card = embedder.card
    if card is None and not begin:
        return (
            f"{weights.name} has no card to keep the thresholds. "
            "Run this command again with --write-card to begin one."
        )
    if card is None:
        card = ModelCard(
            architecture=architecture or "foreign",
            embedding_size=embedder.embedding_size,
            preprocessing=embedder.preprocessing,
            sha256=sha256_of(weights),
        )
    try:
        write(weights, with_thresholds(card, result))
    except OSError as error:
        return (
            f"The thresholds were measured, but {path} cannot be written: {error.strerror}. "
            "The report holds them; copy the weights to a folder of your own to keep a card."
        )
    return (
        f"Thresholds: {path}\n"
        f"Next: pocketface verify A.jpg B.jpg --weights {weights} "
        f"--far {result.operating_points[-1].far:g}"
    )


def _print_table(console: "Console", result: "PairResult") -> None:
    from rich.table import Table

    from pocketface.benchmarks.summary import interval_sentence, set_sentence, summary_rows

    table = Table(title=f"{result.model.name} on {result.benchmark}", title_justify="left")
    table.add_column("Figure")
    table.add_column("Value", justify="right", no_wrap=True)
    table.add_column("Interval", no_wrap=True)
    table.add_column("Remark")
    for row in summary_rows(result):
        table.add_row(*row)
    console.print(table)
    rate = result.images / max(result.embedding_seconds, 1e-9)
    for line in (
        set_sentence(result),
        interval_sentence(result),
        *result.not_measured,
        f"Embedded in {result.embedding_seconds:.1f} s, {rate:,.0f} images/s.",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
