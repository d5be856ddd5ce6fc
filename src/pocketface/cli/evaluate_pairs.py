"""`pocketface evaluate` on a set of pairs, and its thresholds on the model's card."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketface.benchmarks.pair_result import PairResult
    from pocketface.benchmarks.report import Measurement
    from pocketface.data.pairs import PairSet
    from pocketface.embedding import Embedder


def evaluate(
    embedder: "Embedder",
    benchmark: Path,
    images: Path | None,
    *,
    flip: bool,
    replicates: int,
    seed: int,
    model: str,
    check: bool,
) -> "Measurement":
    """Measure `embedder`, called `model` in the report, on the pairs in the file `benchmark`.

    With `check` the usual preprocessings are tried on some of the pairs first.
    """
    from pocketface.benchmarks.pair_benchmark import PairBenchmark
    from pocketface.benchmarks.pair_figures import figures
    from pocketface.benchmarks.report import Measurement
    from pocketface.cli.progress import images_progress

    pairs = PairBenchmark.load(benchmark, images)
    warnings = _check(embedder, pairs.pairs) if check else []
    with images_progress(f"Embedding {pairs.name}") as progress:
        run = pairs.run(
            embedder,
            progress,
            flip=flip,
            replicates=replicates,
            seed=seed,
            model=model,
            warnings=warnings,
        )
    return Measurement(
        run.result,
        figures(run.result, run.scores, pairs.pairs.same),
        run.cases,
        run.replicates,
        run.scores,
    )


def _check(embedder: "Embedder", pairs: "PairSet") -> list[str]:
    """Try the usual preprocessings, show how they did, and give the warning if there is one."""
    from rich.console import Console
    from rich.table import Table

    from pocketface.benchmarks.preprocessing_check import check_preprocessing
    from pocketface.cli.progress import images_progress

    with images_progress("Checking the preprocessing") as progress:
        found = check_preprocessing(embedder, pairs, progress)
    table = Table(title=f"Preprocessings on {found.pairs} pairs", title_justify="left")
    table.add_column("Fed as")
    table.add_column("Separation", justify="right")
    table.add_column("")
    for way in found.ways:
        table.add_row(way.name, f"{way.separation:.2f}", "configured" if way.configured else "")
    Console(stderr=True).print(table)
    return [] if found.warning is None else [found.warning]


def record_thresholds(
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
    from pocketface.card import card_path, write_card
    from pocketface.cli.foreign import begin_card

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
        card = begin_card(weights, embedder, architecture)
    try:
        write_card(weights, with_thresholds(card, result))
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
