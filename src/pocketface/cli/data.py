"""`pocketface data`: look at a data set, and make one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketface.cli import data_cifar10, data_synth, data_textures

if TYPE_CHECKING:
    from pocketface.data.inspection import Inspection

app = typer.Typer(
    help="Look at data sets; make verification files, synthetic people and textures.",
    no_args_is_help=True,
)
app.command("synth")(data_synth.synth)
app.command("textures")(data_textures.textures)
app.command("cifar10")(data_cifar10.cifar10)

_NAMED = 10
"""How many faults are named on the screen."""

_TITLES = {
    "folder": "a folder per person",
    "rec": "a RecordIO training set",
    "bin": "a verification file",
    "pairs": "a list of pairs",
    "image": "an image",
}


@app.command("inspect")
def inspect(
    path: Annotated[
        Path,
        typer.Argument(help="A folder per person, a .rec, a .bin, a list of pairs, or an image."),
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images that a list names.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Decode every image, not a sample of 1,000.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for a program, with every fault.")
    ] = False,
) -> None:
    """Say what a path holds: people, images, sizes, pairs, faults, and what to do next."""
    import json
    from dataclasses import asdict

    from pocketface.cli.progress import images_progress
    from pocketface.data.inspection import inspect_path

    with images_progress("Decoding") as progress:
        found = inspect_path(path, images, every=every, progress=progress)
    if as_json:
        report = asdict(found) | {"faults": [fault._asdict() for fault in found.faults]}
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(found, images)


def _print(found: "Inspection", images: Path | None) -> None:
    lines = [f"{found.path}: {_TITLES[found.format]}", f"images     {found.images:,}"]
    if found.people is not None:
        people = found.people
        buckets = [f"{images}: {count:,}" for images, count in people.histogram.items() if count]
        lines += [
            f"people     {people.people:,}, of whom {people.single:,} have one image only",
            f"each has   {people.fewest:,} to {people.most:,} images, median {people.median:g}",
            f"people by their number of images   {' | '.join(buckets)}",
        ]
    if found.pairs is not None:
        pairs = found.pairs
        lines.append(
            f"pairs      {pairs.pairs:,}: {pairs.same:,} of one person, {pairs.different:,} of two,"
            f" in {pairs.folds} folds"
        )
    if found.decoded:
        sample = "" if found.decoded == found.images else "  (a sample; --all decodes every image)"
        sizes = [f"{size}: {count:,}" for size, count in found.sizes.items()]
        more = f" | {len(sizes) - 5:,} other sizes" if len(sizes) > 5 else ""
        lines += [
            f"decoded    {found.decoded:,}{sample}",
            f"sizes      {' | '.join(sizes[:5])}{more}",
        ]
    if found.decoded or found.faults:
        lines.append(f"faults     {f'{len(found.faults):,}' if found.faults else 'none'}")
    lines += [f"  {fault.name}: {fault.reason}" for fault in found.faults[:_NAMED]]
    if len(found.faults) > _NAMED:
        lines.append(f"  ... and {len(found.faults) - _NAMED:,} more (--json names all)")
    if found.sizes and next(iter(found.sizes)) != "112x112":
        lines.append("note: the networks were made for aligned faces of 112x112.")
    lines.append(f"next: {_next(found, images)}")
    typer.echo("\n".join(lines))


def _next(found: "Inspection", images: Path | None) -> str:
    if found.format == "bin":
        return f"pocketface evaluate WEIGHTS {found.path}"
    if found.format == "pairs":
        return f"pocketface evaluate WEIGHTS {found.path} --images {images or 'FOLDER'}"
    if found.format == "image":
        return f"pocketface verify {found.path} OTHER_IMAGE --weights WEIGHTS"
    return f"pocketface train RECIPE --data {found.path}"


@app.command("make-bin")
def make_bin(
    folder: Annotated[Path, typer.Argument(help="Folder of the images that PAIRS names.")],
    pairs: Annotated[
        Path,
        typer.Argument(help="LFW's pairs.txt, or a .json, .tsv or .csv of image, image, same."),
    ],
    out: Annotated[Path, typer.Argument(help="The .bin to write.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there already.")
    ] = False,
) -> None:
    """Write a verification .bin from a folder and a list of pairs; images stay as they are."""
    from pocketface.cli.progress import images_progress
    from pocketface.data.inspection import check_images
    from pocketface.data.pairs import load_pairs, save_bin
    from pocketface.errors import DataError, RecipeError

    if out.suffix != ".bin":
        raise RecipeError(f"{out}: the file to write must end with .bin.")
    if out.exists() and not overwrite:
        raise RecipeError(f"{out} is there already. Choose another name, or add --overwrite.")
    loaded = load_pairs(pairs, folder)
    with images_progress("Checking") as progress:
        sizes, faults = check_images(
            range(len(loaded.images)), loaded.pixels, lambda i: loaded.names[i], progress
        )
    if faults:
        raise DataError(
            f"{len(faults):,} of {len(loaded.images):,} images cannot be used; the first: "
            f"{faults[0].name}: {faults[0].reason}"
        )
    try:
        save_bin(loaded, out)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written: {error.strerror}. Choose another place."
        ) from error
    typer.echo(
        f"wrote {out}: {len(loaded):,} pairs of {len(loaded.images):,} images, "
        f"{out.stat().st_size / 1e6:.1f} MB"
    )
    if list(sizes) != ["112x112"]:
        shown = ", ".join(f"{size} ({count:,})" for size, count in sizes.most_common(3))
        typer.echo(f"note: sizes are {shown}; other tools expect 112x112 in a .bin.")
    folds = load_pairs(out).folds
    if folds != loaded.folds:
        typer.echo(
            f"note: a .bin has no fold count: the list's {loaded.folds} will be read as {folds}."
        )
    typer.echo(f"next: pocketface evaluate WEIGHTS {out}")
