"""`pocketface embed`: the embeddings of a folder of aligned faces."""

from pathlib import Path
from typing import Annotated

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

_NAMED = 10
"""How many left-out images are named on the screen."""


def embed(
    folder: Annotated[
        Path,
        typer.Argument(help="A folder of images, a folder per person, or a .rec file."),
    ],
    weights: Annotated[Path, typer.Option("--weights", "-w", help=f"{WEIGHTS_FILE}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz file to write.")] = Path(
        "embeddings.npz"
    ),
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Sum the embeddings of image and mirror.")
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there already.")
    ] = False,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Embed a folder of aligned faces into one NumPy archive; a stopped run goes on."""
    from rich.console import Console

    from pocketface.cli.foreign import load_weights
    from pocketface.cli.progress import images_progress
    from pocketface.embedding.archive import write_archive
    from pocketface.embedding.flat_folder import open_images
    from pocketface.errors import DataError, RecipeError, StoppedError

    if out.suffix != ".npz":
        raise RecipeError(f"--out must end in .npz, got {out}.")
    if out.exists() and not overwrite:
        raise RecipeError(f"{out} is there already. Choose another --out, or add --overwrite.")
    console = Console(stderr=True)
    faces = open_images(folder)
    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    try:
        with images_progress("Embedding") as progress:
            summary = write_archive(out, faces, embedder, flip=flip, progress=progress)
    except KeyboardInterrupt:
        raise StoppedError(
            f"Stopped; finished chunks are kept in {out}.partial. Run the same command to go on."
        ) from None
    except OSError as error:
        raise DataError(
            f"{out} cannot be written: {error.strerror}. Choose another place with --out."
        ) from error
    skipped = [*faces.faults, *summary.skipped]
    for fault in skipped[:_NAMED]:
        line = f"left out: {fault.name}: {fault.reason}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(skipped) > _NAMED:
        console.print(f"... and {len(skipped) - _NAMED:,} more were left out")
    resumed = f" ({summary.resumed:,} by the run before)" if summary.resumed else ""
    typer.echo(
        f"{summary.embedded:,} embeddings of {embedder.embedding_size} numbers{resumed}: {out}\n"
        f"Read them with numpy.load('{out}'): names, embeddings"
        f"{', labels, people' if len(faces.people) else ''}, about."
    )
