"""Which protocol `pocketface evaluate` is asked for: by what lies at the path."""

from pathlib import Path
from typing import Literal

from pocketface.errors import DataError, RecipeError

Protocol = Literal["pairs", "ijb", "megaface", "people"]


def find_protocol(
    benchmark: Path | None, images: Path | None, people: Path | None
) -> tuple[Protocol, Path]:
    """The protocol, and where its images or lists lie. Raises DataError or RecipeError if none."""
    if people is None and benchmark is not None:
        return _layout(benchmark, images), benchmark
    if people is None or benchmark is not None or images is not None:
        raise RecipeError(
            "give either a BENCHMARK (with --images where it is a list) or --people FOLDER."
        )
    return "people", people


def _layout(benchmark: Path, images: Path | None) -> Protocol:
    """The protocol that `benchmark` is laid out for. Raises DataError if it is none."""
    if not benchmark.is_dir():
        return "pairs"
    found = {entry.name for entry in benchmark.iterdir()}
    layouts: dict[Protocol, set[str]] = {
        "ijb": {"meta", "loose_crop"},
        "megaface": {"templatelists"},
    }
    for kind, wanted in layouts.items():
        if wanted <= found:
            if images is not None:
                raise DataError(
                    f"{benchmark} holds its own images: leave the folder {images} away."
                )
            return kind
    raise DataError(
        f"{benchmark} is a folder, but of no benchmark that is known: IJB-B and IJB-C have meta/ "
        "and loose_crop/, MegaFace has templatelists/, facescrub/ and megaface/. For pairs give "
        "their file, with the folder of their images as --images; a folder for each person goes "
        "with --people."
    )
