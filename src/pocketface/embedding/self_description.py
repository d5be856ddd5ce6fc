"""What an exported file says of itself, in its own metadata: enough to run it with nothing beside.

One entry, `pocketface`, holds it as JSON; each format keeps such entries in its own place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pocketface.card import ModelCard, card_path
from pocketface.errors import WeightsError

KEY = "pocketface"
"""Name of the entry among the file's metadata."""

InputKind = Literal["float", "uint8"]
OutputKind = Literal["raw", "unit"]

_OF_THE_NETWORK = ("architecture", "options", "genotype", "embedding_size", "preprocessing")
"""What a card beside the file may not say otherwise; thresholds and notes it may."""


class UndescribedError(WeightsError):
    """Neither a file nor anything else says how it wants its images."""


class SelfDescription(BaseModel):
    """How to run the file, and the card of the network in it.

    Attributes:
        version: of PocketFace that wrote the file.
        input: 'float' takes float32 (N, 3, S, S), normalised as the card says; 'uint8' takes RGB
            pixels (N, S, S, 3) and holds its normalisation.
        output: 'raw' gives embeddings (N, D) as the network computed them; 'unit' gives them
            divided by their length, and their lengths (N, 1) as a second output.
        card: of the weights that the file was made from; its sha256 is theirs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str
    input: InputKind = "float"
    output: OutputKind = "raw"
    card: ModelCard

    def to_metadata(self) -> dict[str, str]:
        """The entry that goes into the file."""
        return {KEY: self.model_dump_json()}


def read_description(metadata: Mapping[str, str], path: Path) -> SelfDescription | None:
    """What `path`, with this metadata, says of itself; None for a file that is not ours.

    Raises WeightsError where the entry cannot be understood.
    """
    if KEY not in metadata:
        return None
    try:
        return SelfDescription.model_validate_json(metadata[KEY])
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "it"
        raise WeightsError(
            f"{path} describes itself in a way that is not understood: {where}: {fault['msg']}. "
            "It was changed, or written by a newer PocketFace. Export the network again."
        ) from error


def card_of(
    path: Path, sha256: str, described: SelfDescription | None, beside: ModelCard | None
) -> ModelCard | None:
    """The card that counts: the one beside the file, else the file's own, with `sha256` in it.

    Raises WeightsError where the two are of different networks.
    """
    if described is None:
        return beside
    if beside is None:
        return described.card.model_copy(update={"sha256": sha256})
    for name in _OF_THE_NETWORK:
        outer, inner = getattr(beside, name), getattr(described.card, name)
        if outer != inner:
            raise WeightsError(
                f"{card_path(path)} contradicts {path.name} itself: it says {name} "
                f"{_show(outer)}, the file {_show(inner)}. Move the card away to use what the "
                "file says, or put the card of this file there."
            )
    return beside


def undescribed(path: Path) -> UndescribedError:
    """The error for such a file, with what to say of it."""
    return UndescribedError(
        f"{path} has no card ({card_path(path).name}) that says its preprocessing. Say it with "
        "all of --size, --order, --mean and --std; for example the field's usual one: "
        "--size 112 --order rgb --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"
    )


def _show(value: object) -> str:
    text = value.model_dump_json() if isinstance(value, BaseModel) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
