"""`pocketface verify`: whether two photographs are of one person."""

from pathlib import Path
from typing import Annotated

import typer

from pocketface.cli.detector import DetectorOption
from pocketface.cli.foreign import (
    ArchitectureOption,
    MeanOption,
    OrderOption,
    SizeOption,
    StdOption,
    ThreadsOption,
)
from pocketface.cli.photographs import AlignedOption, LargestOption, QualityOption
from pocketface.cli.weights_file import WEIGHTS_FILE

SAME, DIFFERENT, UNDECIDED = 0, 1, 3
"""Exit codes; 2 is an error, as in every command."""


def verify(
    first: Annotated[Path, typer.Argument(metavar="A", help="A photograph or an aligned face.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    weights: Annotated[Path, typer.Option("--weights", "-w", help=f"{WEIGHTS_FILE}.")],
    far: Annotated[
        float, typer.Option("--far", help="False accept rate of the threshold to use.")
    ] = 1e-3,
    prior: Annotated[
        float,
        typer.Option("--prior", help="How likely one person is beforehand, for the probability."),
    ] = 0.5,
    detector: DetectorOption = None,
    aligned: AlignedOption = "auto",
    min_quality: QualityOption = "off",
    largest: LargestOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Compare two faces at a threshold that `calibrate` or `evaluate` measured.

    Faces are found in photographs and aligned first; aligned faces need no detector.
    After `pocketface calibrate` it also says how probable it is that they are one person.

    Exit code 0: same person; 1: different people; 3: no threshold is known; 2: an error.
    """
    import json

    from pocketface.benchmarks.calibration import probability
    from pocketface.benchmarks.thresholds import choose_threshold
    from pocketface.cli.foreign import load_weights
    from pocketface.cli.photographs import make_recogniser
    from pocketface.embedding.compare import compare_faces
    from pocketface.errors import RecipeError

    if not 0 < prior < 1:
        raise RecipeError(f"--prior must lie between 0 and 1, got {prior:g}.")
    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    threshold = None if embedder.card is None else choose_threshold(embedder.card, far)
    # A threshold decides about embeddings made as those that it was measured on.
    flip = True if threshold is None else threshold.flip
    recogniser = make_recogniser(
        embedder, flip=flip, detector=detector, aligned=aligned, min_quality=min_quality
    )
    names = [str(first), str(second)]
    faces = [recogniser.read(path).one_face(largest=largest).crop for path in (first, second)]
    similarity = compare_faces(embedder, faces, names, flip=flip)
    calibration = None if embedder.card is None else embedder.card.calibration
    likely = None
    if calibration is not None:
        seen = (
            similarity
            if calibration.flip == flip
            else compare_faces(embedder, faces, names, flip=calibration.flip)
        )
        likely = probability(calibration, seen, prior)
    same = None if threshold is None else similarity >= threshold.similarity
    if as_json:
        answer = {
            "same": same,
            "similarity": similarity,
            "flip": flip,
            "probability": likely,
            "threshold": None if threshold is None else threshold.model_dump(mode="json"),
        }
        typer.echo(json.dumps(answer))
    elif threshold is None:
        typer.echo(
            f"similarity {similarity:.4f}; no threshold is known for {weights.name}.\n"
            f"Measure one with: pocketface evaluate {weights} PAIRS --write-card, or on your own "
            f"people with: pocketface calibrate {weights} --people FOLDER --write-card"
        )
    else:
        typer.echo(
            f"{'same person' if same else 'different people'}: similarity {similarity:.4f}, "
            f"threshold {threshold.similarity:.4f}\n"
            f"The threshold accepts {threshold.measured_far:.3%} of two people's pairs and "
            f"{threshold.tar:.2%} of one person's (aimed at FAR {threshold.far:g}, measured on "
            f"{threshold.benchmark} with {threshold.impostor_pairs:,} pairs of two people)."
        )
    if not as_json and calibration is not None and likely is not None:
        typer.echo(
            f"Probability of one person: {_percent(likely)} ({calibration.method}, learnt on "
            f"{calibration.benchmark}; {prior:.3g} beforehand)."
        )
    code = UNDECIDED if same is None else SAME if same else DIFFERENT
    if code:
        raise typer.Exit(code)


def _percent(share: float) -> str:
    """In per cent, with as many digits as the nearer end deserves; never a false certainty."""
    digits = 1
    while digits < 6 and min(share, 1 - share) < 10.0 ** -(digits + 1):
        digits += 1
    return f"{100 * share:.{digits}f} %"
