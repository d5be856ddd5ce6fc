"""`pocketface data cifar10`: a local copy of CIFAR-10 as a training set."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def cifar10(
    folder: Annotated[
        Path, typer.Argument(help="cifar-10-batches-bin, the binary version, unpacked.")
    ],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    layout: Annotated[
        Literal["folder", "rec"], typer.Option("--layout", help="A folder per class, or train.rec.")
    ] = "rec",
) -> None:
    """Write a local copy of CIFAR-10 as a training set, each image as a PNG, which loses nothing.

    Training and search read it as they read people, and enlarge its 32x32 pixels.
    """
    from pocketface.cli.progress import images_progress
    from pocketface.data.cifar10 import read_cifar10, write_cifar10

    cifar = read_cifar10(folder)
    with images_progress("Writing") as progress:
        write_cifar10(cifar, out, layout, progress)
    classes = len(set(cifar.labels.tolist()))
    typer.echo(f"{out}: {classes} classes, {len(cifar.labels):,} images of 32x32")
    typer.echo(f"next: pocketface search {out}")
