"""The options of commands that take photographs, and what they make of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketface.cli.weights_file import WEIGHTS_FILE

if TYPE_CHECKING:
    from pocketface.detect.recognise import Recogniser
    from pocketface.embedding import Embedder

_PANEL = "Photographs"

AlignedOption = Annotated[
    Literal["auto", "yes", "no"],
    typer.Option(
        "--aligned",
        help="Whether the pictures are aligned faces; auto: square ones of 112 pixels, or of the "
        "network's input, are.",
        rich_help_panel=_PANEL,
    ),
]
QualityOption = Annotated[
    str,
    typer.Option(
        "--min-quality",
        help="off, loose, normal, strict, or limits such as turn=45,eyes=30.",
        rich_help_panel=_PANEL,
    ),
]
LargestOption = Annotated[
    bool,
    typer.Option("--largest", help="Of several faces take the largest.", rich_help_panel=_PANEL),
]
WeightsOption = Annotated[
    Path,
    typer.Option("--weights", "--model", "-w", help=f"{WEIGHTS_FILE}."),
]
GalleryOption = Annotated[
    str,
    typer.Option(
        "--gallery",
        "-g",
        envvar="POCKETFACE_GALLERY",
        help="The gallery's file, or one in Milvus: milvus:people.db or http://host:19530.",
        show_envvar=True,
        metavar="PATH",
    ),
]


def make_recogniser(
    embedder: "Embedder",
    *,
    flip: bool,
    detector: Path | None,
    aligned: Literal["auto", "yes", "no"] = "auto",
    min_quality: str = "off",
) -> "Recogniser":
    """What sees faces for a command; the detector is looked for when a photograph needs it.

    Raises RecipeError for a `min_quality` that cannot be understood.
    """
    from pocketface.detect.detector_file import find_detector
    from pocketface.detect.quality import parse_limits
    from pocketface.detect.recognise import Recogniser
    from pocketface.detect.yunet import YuNet

    return Recogniser(
        embedder,
        lambda: YuNet(find_detector(detector)),
        flip=flip,
        limits=parse_limits(min_quality),
        aligned=aligned,
    )
