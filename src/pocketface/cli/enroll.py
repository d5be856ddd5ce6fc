"""`pocketface enroll`: people into a gallery."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    LargestOption,
    QualityOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from pocketface.data.fault import Fault
    from pocketface.gallery.enrol_photos import Photo

REFUSED = 1
"""Exit code where a photograph was refused; 2 is an error, as in every command."""

_NAMED = 10
"""How many refused photographs are named on the screen; --json names all."""


def enroll(
    gallery: GalleryOption,
    weights: WeightsOption,
    name: Annotated[str | None, typer.Argument(help="The person's name.")] = None,
    photos: Annotated[list[Path] | None, typer.Argument(help="Photographs of them.")] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Instead of name and photographs: a folder per person."),
    ] = None,
    detector: DetectorOption = None,
    aligned: AlignedOption = "auto",
    min_quality: QualityOption = "off",
    largest: LargestOption = False,
    keep_crops: Annotated[
        bool | None,
        typer.Option(
            "--keep-crops/--no-keep-crops",
            help="Keep the aligned faces in the gallery, for `gallery re-enroll`; settled when the "
            "gallery is made.",
            show_default="no",
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Sum the embeddings of image and mirror; settled when the gallery is made.",
            show_default="as the card's thresholds",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Enrol a person from photographs, or a folder of people; a stopped run goes on.

    The gallery keeps embeddings, and no photograph. Enrolling a photograph again changes nothing.

    Exit code 0: all are enrolled; 1: some were refused; 2: an error.
    """
    import json

    from pocketface.cli.foreign import load_weights
    from pocketface.cli.photographs import make_recogniser
    from pocketface.cli.progress import images_progress
    from pocketface.gallery.enrol_photos import enrol_photos
    from pocketface.gallery.opening import begin_gallery

    chosen, faults = _photos(name, photos, folder)
    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    with begin_gallery(gallery, embedder, weights.name, flip=flip, keep_crops=keep_crops) as opened:
        recogniser = make_recogniser(
            embedder,
            flip=opened.maker.flip,
            detector=detector,
            aligned=aligned,
            min_quality=min_quality,
        )
        with images_progress("Enrolling") as progress:
            done = enrol_photos(opened, recogniser, chosen, largest=largest, progress=progress)
        stats = opened.stats()
    refused = faults + done.refused
    if as_json:
        answer = {
            "added": done.added,
            "known": done.known,
            "refused": [{"photo": fault.name, "reason": fault.reason} for fault in refused],
            "people": stats.people,
            "templates": stats.templates,
        }
        typer.echo(json.dumps(answer))
    else:
        known = f", {done.known:,} were there before" if done.known else ""
        typer.echo(f"{done.added:,} of {len(chosen):,} photographs enrolled{known}.")
        if refused:
            typer.echo(f"Refused: {len(refused):,}")
        for fault in refused[:_NAMED]:
            typer.echo(f"  {fault.name}: {fault.reason}")
        if len(refused) > _NAMED:
            typer.echo(f"  ... and {len(refused) - _NAMED:,} more; --json names all")
        typer.echo(f"{gallery}: {stats.people:,} people, {stats.templates:,} templates.")
    if refused:
        raise typer.Exit(REFUSED)


def _photos(
    name: str | None, photos: list[Path] | None, folder: Path | None
) -> "tuple[list[Photo], list[Fault]]":
    """The photographs that are meant, and what else lies in the folder."""
    from pocketface.errors import RecipeError
    from pocketface.gallery.enrol_photos import Photo, photos_below
    from pocketface.gallery.gallery import person_name

    if folder is not None and name is None:
        return photos_below(folder)
    if folder is not None or name is None or not photos:
        raise RecipeError("give either NAME PHOTO... or --folder FOLDER with a folder per person.")
    person = person_name(name)
    return [Photo(person, path, path.name) for path in photos], []
