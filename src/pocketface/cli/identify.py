"""`pocketface identify`: who is on a photograph, where nobody known is an answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from pocketface.cli.photographs import (
    AlignedOption,
    GalleryOption,
    QualityOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from pocketface.card import ModelCard, Threshold
    from pocketface.detect.recognise import Recogniser
    from pocketface.gallery.gallery import Gallery, Stats

UNKNOWN, FAULTY = 1, 2
"""Exit codes; 0 where every face is somebody's of the gallery."""


def identify(
    photos: Annotated[list[Path], typer.Argument(help="Photographs; each face is answered.")],
    gallery: GalleryOption,
    weights: WeightsOption,
    far: Annotated[
        float, typer.Option("--far", help="False accept rate of the card's threshold to use.")
    ] = 1e-3,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="A similarity of your own, instead of the card's."),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="How many similar people to name for each face.")
    ] = 1,
    detector: DetectorOption = None,
    aligned: AlignedOption = "auto",
    min_quality: QualityOption = "off",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Say who of the gallery each face is, or that it is nobody of them.

    A person's similarity is the highest of their templates'.

    Exit code 0: every face is known; 1: a face is unknown or poor, or there is none; 2: an error.
    """
    import json

    from pocketface.cli.foreign import load_weights
    from pocketface.cli.photographs import make_recogniser
    from pocketface.gallery.opening import open_gallery

    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    with open_gallery(gallery, embedder, weights.name) as opened:
        flip = opened.maker.flip
        known = _threshold(embedder.card, weights, far, threshold, flip=flip)
        limit = threshold if known is None else known.similarity
        assert limit is not None
        recogniser = make_recogniser(
            embedder, flip=flip, detector=detector, aligned=aligned, min_quality=min_quality
        )
        stats = opened.stats()
        answers = [_answer(path, recogniser, opened, limit, top) for path in photos]
    rates = _rates(known, stats)
    if as_json:
        about = {
            "threshold": limit,
            "far": None if known is None else rates["far"],
            "fpir": None if known is None else [rates["people"], rates["templates"]],
            "people": stats.people,
            "templates": stats.templates,
        }
        typer.echo(json.dumps({**about, "photos": answers}))
    else:
        for answer in answers:
            typer.echo("\n".join(_lines(answer)))
        typer.echo(_explained(limit, known, stats, rates))
    if any("error" in answer for answer in answers):
        raise typer.Exit(FAULTY)
    faces = [face for answer in answers for face in answer["faces"]]
    if not all(answer["faces"] for answer in answers) or any(f["person"] is None for f in faces):
        raise typer.Exit(UNKNOWN)


def _threshold(
    card: "ModelCard | None", weights: Path, far: float, own: float | None, *, flip: bool
) -> "Threshold | None":
    """The card's threshold; None where the caller gives one of their own."""
    from pocketface.benchmarks.thresholds import choose_threshold
    from pocketface.errors import RecipeError

    if own is not None:
        if not -1 <= own <= 1:
            raise RecipeError(f"--threshold is a cosine from -1 to 1, got {own:g}.")
        return None
    found = None if card is None else choose_threshold(card, far)
    if found is None:
        raise RecipeError(
            f"no threshold is known for {weights.name}, so nobody can be told from a stranger. "
            f"Measure one with: pocketface evaluate {weights} PAIRS --write-card, or on your own "
            f"people with: pocketface calibrate {weights} --people FOLDER --write-card. Or give "
            "one with --threshold."
        )
    if found.flip != flip:
        raise RecipeError(
            f"the threshold for FAR {far:g} was measured {_mirror(found.flip)}, the gallery was "
            f"made {_mirror(flip)}. Measure it again, or begin a gallery with "
            f"{'--flip' if found.flip else '--no-flip'}."
        )
    return found


def _answer(
    path: Path, recogniser: "Recogniser", gallery: "Gallery", limit: float, top: int
) -> dict[str, Any]:
    from pocketface.errors import DataError
    from pocketface.gallery.open_set import identify

    try:
        photo = recogniser.read(path)
    except DataError as error:
        return {"photo": str(path), "error": str(error), "faces": []}
    good = [face for face in photo.faces if not face.faults]
    found = iter(identify(gallery, recogniser.embed(good), limit, top) if good else [])
    faces = []
    for face in photo.faces:
        answer = None if face.faults else next(found)
        faces.append(
            {
                "person": None if answer is None else answer.person,
                "box": None if face.found is None else [round(side, 1) for side in face.found.box],
                "faults": face.faults,
                "candidates": []
                if answer is None
                else [
                    {"person": each.person, "similarity": each.similarity, "photo": each.photo}
                    for each in answer.candidates
                ],
            }
        )
    return {"photo": str(path), "faces": faces}


def _lines(answer: dict[str, Any]) -> list[str]:
    """The answer about one photograph in words."""
    if "error" in answer:
        return [answer["error"]]
    faces = answer["faces"]
    if not faces:
        return [f"{answer['photo']}: no face found"]
    lines = []
    for number, face in enumerate(faces, 1):
        which = answer["photo"]
        if len(faces) > 1:
            left, top, right, bottom = face["box"]
            which += f", face {number} of {len(faces)} ({right - left:.0f} x {bottom - top:.0f} "
            which += f"pixels at {left:.0f}, {top:.0f})"
        near = [f"{each['person']} {each['similarity']:.4f}" for each in face["candidates"]]
        if face["faults"]:
            lines.append(f"{which}: too poor to tell: {'; '.join(face['faults'])}")
        elif face["person"] is not None:
            rest = f"; then {', '.join(near[1:])}" if near[1:] else ""
            similarity = face["candidates"][0]["similarity"]
            lines.append(f"{which}: {face['person']}, similarity {similarity:.4f}{rest}")
        else:
            nearest = f", nearest {', '.join(near)}" if near else ""
            lines.append(f"{which}: unknown{nearest}")
    return lines


def _rates(known: "Threshold | None", stats: "Stats") -> dict[str, float]:
    """The threshold's FAR, and the FPIR that follows if people, and if templates, are counted."""
    from pocketface.gallery.open_set import false_positive_rate

    if known is None:
        return {}
    # None of the pairs passing is no proof of a FAR of nought: then what was aimed at counts.
    far = known.measured_far or known.far
    return {
        "far": far,
        "people": false_positive_rate(far, stats.people),
        "templates": false_positive_rate(far, stats.templates),
    }


def _explained(
    limit: float, known: "Threshold | None", stats: "Stats", rates: dict[str, float]
) -> str:
    if known is None:
        return (
            f"threshold {limit:.4f}, given with --threshold: how often a stranger passes it is not "
            "known"
        )
    low, high = rates["people"], rates["templates"]
    share = f"{low:.2%}" if stats.people == stats.templates else f"{low:.2%} to {high:.2%}"
    return (
        f"threshold {limit:.4f} (FAR {rates['far']:.3g}, measured on {known.benchmark}); a "
        f"stranger is taken for one of these {stats.people:,} people in about {share} of cases\n"
        "(1 - (1 - FAR)^N, an estimate that takes the comparisons as independent)"
    )


def _mirror(flip: bool) -> str:
    return "with mirror images" if flip else "without mirror images"
