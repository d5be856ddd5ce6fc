"""`pocketface data textures`: a training set of generic images, the control of a set of faces."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def textures(
    out: Annotated[Path, typer.Argument(help="The folder to make, or to go on with.")],
    classes: Annotated[int, typer.Option("--classes", help="How many textures.")] = 100,
    images: Annotated[int, typer.Option("--images", help="Images of each of them.")] = 40,
    size: Annotated[int, typer.Option("--size", help="Their size in pixels.")] = 112,
    layout: Annotated[
        Literal["folder", "rec"],
        typer.Option("--layout", help="A folder per texture, or train.rec."),
    ] = "rec",
    seed: Annotated[int, typer.Option("--seed", help="Which textures there are.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes; one for each core if left out."),
    ] = None,
) -> None:
    """Make generic images to tell apart: stripes, spots, weaves, stones, marble, figures...

    A class has a pattern, its colours, and half of them the outline of a figure; its images differ
    in place, angle, scale, light, colour cast, blur and noise. They are read wherever people are.

    The same command gives the same bytes, and goes on where it was stopped.
    """
    import os

    from pocketface.cli.progress import images_progress
    from pocketface.synthetic.textures.make import TextureRecipe, make_textures

    recipe = TextureRecipe(classes, images, size, layout, seed)
    with images_progress("Drawing") as progress:
        made = make_textures(out, recipe, workers=workers or os.cpu_count() or 1, progress=progress)
    note = " (kept)" if made.kept else ""
    if made.other_version:
        note = " (kept, made by another version: delete it to make it again)"
    typer.echo(
        f"{made.path}: {classes:,} classes, {classes * images:,} images; "
        f"{made.bytes / 1e6:.1f} MB{note}"
    )
    typer.echo(f"next: pocketface search {made.path}")
