"""`pocketface calibrate`: the threshold for a wanted FAR, and what a similarity is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketface.cli.foreign import (
    ArchitectureOption,
    MeanOption,
    OrderOption,
    SizeOption,
    StdOption,
    ThreadsOption,
)
from pocketface.cli.weights_file import WEIGHTS_FILE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pocketface.benchmarks.learn import Learnt
    from pocketface.benchmarks.pair_benchmark import PairBenchmark


def calibrate(
    weights: Annotated[Path, typer.Argument(help=f"{WEIGHTS_FILE}.")],
    benchmark: Annotated[
        Path | None,
        typer.Option("--benchmark", help="Pairs: a .bin, an LFW pairs.txt, a JSON or TSV list."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images that the list names.")
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option("--people", help="Your own people: a folder for each, or a .rec file."),
    ] = None,
    far: Annotated[
        list[float] | None,
        typer.Option(
            "--far", help="Wanted false accept rate; may be repeated.", show_default="1e-3"
        ),
    ] = None,
    method: Annotated[
        Literal["logistic", "isotonic"],
        typer.Option("--method", help="The map from similarity to probability."),
    ] = "logistic",
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Sum the embeddings of image and mirror.")
    ] = True,
    replicates: Annotated[
        int, typer.Option("--replicates", min=0, help="Bootstrap replicates; 0 for no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of pairs and replicates.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
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
    """Learn thresholds and probabilities from pairs or from your own people, for `verify`.

    They are written to the card beside the weights. Of your own people 10 images each are taken,
    all pairs of one person, and up to 100,000 pairs of two.
    """
    from pocketface.benchmarks.learn import learn
    from pocketface.benchmarks.thresholds import with_calibration
    from pocketface.card import card_path
    from pocketface.card import write_card as write
    from pocketface.cli.foreign import begin_card, load_weights
    from pocketface.cli.progress import images_progress
    from pocketface.embedding.unit import similarity_of
    from pocketface.errors import DataError, RecipeError, WeightsError

    fars = sorted(set(far or [1e-3]), reverse=True)
    if not all(0 < value < 1 for value in fars):
        raise RecipeError(f"--far must lie between 0 and 1, got {', '.join(map(str, fars))}.")
    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    if embedder.card is None and not write_card:
        raise WeightsError(
            f"{weights.name} has no card to keep what is learnt. Add --write-card to begin one."
        )
    card = embedder.card or begin_card(weights, embedder, architecture)
    source, who = _source(benchmark, images, people, seed)
    with images_progress(f"Embedding {source.name}") as progress:
        scores = similarity_of(source.distances(embedder, progress, flip=flip))
    learnt = learn(source, scores, who, fars, method, flip=flip, replicates=replicates, seed=seed)
    try:
        write(weights, with_calibration(card, learnt.thresholds, learnt.calibration))
    except OSError as error:
        raise DataError(
            f"{card_path(weights)} cannot be written: {error.strerror}. "
            "Copy the weights to a folder of your own and calibrate them there."
        ) from error
    if as_json:
        _print_json(learnt)
        return
    _print(learnt)
    typer.echo(
        f"Card: {card_path(weights)}\n"
        f"Next: pocketface verify A.jpg B.jpg --weights {weights} --far {fars[-1]:g}"
    )


def _source(
    benchmark: Path | None, images: Path | None, people: Path | None, seed: int
) -> "tuple[PairBenchmark, npt.NDArray[np.int64] | None]":
    """The pairs to learn from, and who is on each of their images where that is known."""
    import numpy as np

    from pocketface.benchmarks.pair_benchmark import PairBenchmark
    from pocketface.benchmarks.people_by_folder import people_by_folder
    from pocketface.benchmarks.people_pairs import pairs_of_people
    from pocketface.data import open_faces
    from pocketface.errors import RecipeError

    if people is not None and benchmark is None and images is None:
        drawn = pairs_of_people(open_faces(people), np.random.default_rng(seed))
        return PairBenchmark(people.resolve().stem, drawn.pairs), drawn.people
    if benchmark is None or people is not None:
        raise RecipeError(
            "give either --benchmark FILE (with --images where it is a list) or --people FOLDER."
        )
    source = PairBenchmark.load(benchmark, images)
    pairs = source.pairs
    return source, people_by_folder(pairs.names, pairs.left, pairs.right, pairs.same)


def _print(learnt: "Learnt") -> None:
    made = learnt.calibration
    typer.echo(
        f"{made.genuine_pairs + made.impostor_pairs:,} pairs of {made.benchmark} "
        f"({made.genuine_pairs:,} of one person, {made.impostor_pairs:,} of two)"
    )
    for entry in learnt.thresholds:
        ends = entry.similarity_interval
        spread = "" if ends is None else f" ({ends[0]:.4f} to {ends[1]:.4f})"
        typer.echo(
            f"FAR {entry.far:g}: same person if similarity is at least "
            f"{entry.similarity:.4f}{spread}; TAR {entry.tar:.2%}"
        )
    typer.echo(
        f"Probability: {made.method}, log loss {learnt.loss:.4f} on pairs held out "
        "(0.6931 is knowing nothing)"
    )
    for text in learnt.warnings:
        typer.echo(text)


def _print_json(learnt: "Learnt") -> None:
    import json

    answer = {
        "thresholds": [entry.model_dump(mode="json") for entry in learnt.thresholds],
        "calibration": learnt.calibration.model_dump(mode="json"),
        "held_out_log_loss": learnt.loss,
        "warnings": learnt.warnings,
    }
    typer.echo(json.dumps(answer))
