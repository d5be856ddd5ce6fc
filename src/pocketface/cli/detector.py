"""`pocketface detector`: get the face detector, and say which one is used."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Get the face detector; say which one is used.", no_args_is_help=True)

DetectorOption = Annotated[
    Path | None,
    typer.Option(
        "--detector",
        help="A YuNet file (.onnx); else POCKETFACE_DETECTOR, else the fetched one.",
        show_default=False,
    ),
]
"""The option of every command that finds faces."""


@app.command("fetch")
def fetch(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to put it; in the cache if left out."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    address: Annotated[
        str | None, typer.Option("--from", help="Another address; needs --sha256.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="The sha256 of the file at --from.")
    ] = None,
) -> None:
    """Download YuNet from the OpenCV Zoo (0.23 MB), after asking.

    The file is kept only if its sha256 is the published one. Nothing else downloads anything.
    """
    import sys

    from pocketface.detect import detector_file
    from pocketface.detect import fetch as fetching
    from pocketface.detect.published import YUNET, PublishedFile
    from pocketface.errors import RecipeError

    source = YUNET
    if address is not None:
        if sha256 is None:
            raise RecipeError(
                "--from needs --sha256: a file that nothing vouches for is not used. Copy the "
                "sha256 from where the file is published."
            )
        source = PublishedFile(YUNET.file, address, 0, sha256, "not known")
    elif sha256 is not None:
        raise RecipeError("--sha256 goes with --from; the published file's is known already.")
    fetching.check_source(source)
    target = out or detector_file.fetched_file()
    if target.is_dir():
        target = target / source.file
    if fetching.is_intact(target, source):
        typer.echo(f"{target} is there already, with the right sha256.")
        return
    size = f"{source.bytes:,} bytes" if source.bytes else f"at most {fetching.MAX_BYTES:,} bytes"
    typer.echo(
        f"file     {source.address}\nsize     {size}\nsha256   {source.sha256}\n"
        f"licence  {source.licence}\nto       {target}"
        + (" (which will be replaced)" if target.exists() else "")
    )
    if not yes:
        if not sys.stdin.isatty():
            raise RecipeError(
                "nobody can be asked whether to download it: the input is no terminal. Add --yes."
            )
        if not typer.confirm("Download it?"):
            typer.echo("Nothing was downloaded.")
            raise typer.Exit(1)
    fetching.fetch(source, target)
    typer.echo(f"wrote {target}: {target.stat().st_size:,} bytes, sha256 as expected")
    if out is not None:
        typer.echo(f"use it with: --detector {target}")


@app.command("which")
def which(detector: DetectorOption = None) -> None:
    """Say which detector file is used."""
    from pocketface.detect.detector_file import find_detector

    typer.echo(str(find_detector(detector)))
