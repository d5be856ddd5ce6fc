"""`pocketface evaluate` on a set of pairs, and its thresholds on the model's card."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketface.benchmarks.pair_result import PairResult
    from pocketface.benchmarks.report import Measurement
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
) -> "Measurement":
    """Measure `embedder`, called `model` in the report, on the pairs in the file `benchmark`."""
    from pocketface.benchmarks.pair_benchmark import PairBenchmark
    from pocketface.benchmarks.pair_figures import figures
    from pocketface.benchmarks.report import Measurement
    from pocketface.cli.progress import images_progress

    pairs = PairBenchmark.load(benchmark, images)
    with images_progress(f"Embedding {pairs.name}") as progress:
        run = pairs.run(
            embedder, progress, flip=flip, replicates=replicates, seed=seed, model=model
        )
    return Measurement(
        run.result,
        figures(run.result, run.scores, pairs.pairs.same),
        run.cases,
        run.replicates,
        run.scores,
    )


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
    from pocketface.card import ModelCard, card_path, sha256_of, write_card

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
