"""The options that describe a weights file without a card, shared by the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pocketface.card import ModelCard
    from pocketface.embedding import Embedder
    from pocketface.preprocessing import Preprocessing

_PANEL = "Weights without a card"

SizeOption = Annotated[
    int | None,
    typer.Option("--size", help="Input height and width in pixels.", rich_help_panel=_PANEL),
]
OrderOption = Annotated[
    str | None,
    typer.Option("--order", help="Channel order: rgb or bgr.", rich_help_panel=_PANEL),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        "--mean",
        help="Mean per channel on the scale 0 to 1, as 0.5,0.5,0.5 (or 0.5 for all).",
        rich_help_panel=_PANEL,
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option(
        "--std",
        help="Divisor per channel on the scale 0 to 1, as 0.5,0.5,0.5 (or 0.5 for all).",
        rich_help_panel=_PANEL,
    ),
]
ArchitectureOption = Annotated[
    str | None,
    typer.Option(
        "--architecture",
        help="Name of the network in a .pt or .pth file; see `pocketface models`.",
        rich_help_panel=_PANEL,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", help="Threads to compute with.", show_default="all cores"),
]


def load_weights(
    weights: Path,
    *,
    size: int | None,
    order: str | None,
    mean: str | None,
    std: str | None,
    architecture: str | None,
    threads: int | None,
) -> "Embedder":
    """The embedder in `weights`, described by its card or by these options.

    Raises RecipeError for options that are incomplete or out of range, and what `load_embedder`
    raises.
    """
    from pocketface.embedding import load_embedder

    return load_embedder(
        weights, foreign_preprocessing(size, order, mean, std), threads, architecture
    )


def begin_card(weights: Path, embedder: "Embedder", architecture: str | None) -> "ModelCard":
    """A card for weights that have none, as these options describe them; it is not written yet."""
    from pocketface.card import ModelCard, sha256_of

    return ModelCard(
        architecture=architecture or "foreign",
        embedding_size=embedder.embedding_size,
        preprocessing=embedder.preprocessing,
        sha256=sha256_of(weights),
    )


def foreign_preprocessing(
    size: int | None, order: str | None, mean: str | None, std: str | None
) -> "Preprocessing | None":
    """The preprocessing that the options describe; None if none of them is given.

    Raises RecipeError if only some are given: a guessed one would spoil every figure unseen.
    """
    from pydantic import ValidationError

    from pocketface.errors import RecipeError
    from pocketface.preprocessing import Preprocessing

    given = {"--size": size, "--order": order, "--mean": mean, "--std": std}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if size is None or order is None or mean is None or std is None:
        raise RecipeError(
            f"{', '.join(missing)} is missing: a file without a card needs all of "
            "--size, --order, --mean and --std."
        )
    if order not in ("rgb", "bgr"):
        raise RecipeError(f"--order must be rgb or bgr, got '{order}'.")
    means, stds = _three("--mean", mean), _three("--std", std)
    if not all(0 <= value <= 1 for value in means) or not all(0 < value <= 1 for value in stds):
        raise RecipeError(
            f"--mean {mean} --std {std}: pixels are on the scale 0 to 1 here, so a mean lies "
            "within 0 and 1 and a std within 0 (not included) and 1. Divide numbers on the scale "
            "0 to 255 by 255: mean 127.5 and std 128 become --mean 0.5 --std 0.50196."
        )
    try:
        return Preprocessing.model_validate(
            {"image_size": size, "channel_order": order, "mean": means, "std": stds}
        )
    except ValidationError as error:
        raise RecipeError(f"--size {size}: {error.errors()[0]['msg']}.") from error


def _three(option: str, text: str) -> tuple[float, float, float]:
    from pocketface.errors import RecipeError

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise RecipeError(f"{option} must be one or three numbers such as 0.5,0.5,0.5. Got {text}.")
    return values[0], values[1], values[2]
