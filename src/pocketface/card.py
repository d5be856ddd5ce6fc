"""The card that travels beside a weights file and says what it is.

`model.safetensors` and `model.onnx` are described by `model.json` in the same folder: what
network, which preprocessing, what it learnt from, under which licence, and the sha256 of the
weights, so that a card can never speak for another file.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pocketface import atomic
from pocketface.errors import WeightsError
from pocketface.preprocessing import Preprocessing


class Threshold(BaseModel):
    """An operating point measured on a benchmark: 'same person' if cosine >= `similarity`."""

    model_config = ConfigDict(extra="forbid")

    benchmark: str
    far: float = Field(ge=0, le=1, description="the false accept rate aimed at")
    measured_far: float = Field(ge=0, le=1)
    tar: float = Field(ge=0, le=1)
    similarity: float = Field(ge=-1, le=1)
    similarity_interval: tuple[float, float] | None = Field(
        default=None, description="95 % interval of the threshold that gives this FAR"
    )
    calibrated: bool = Field(default=False, description="whether `calibrate` was asked for it")
    impostor_pairs: int = Field(ge=0)
    flip: bool = Field(description="whether embeddings were summed over image and mirror")


class Calibration(BaseModel):
    """A map from similarity to the probability that two faces are of one person.

    It holds where one person and two people are equally likely beforehand. The log of the odds is
    on straight lines between the points (`similarities`, `log_odds`), and level beyond them.
    """

    model_config = ConfigDict(extra="forbid")

    benchmark: str
    method: Literal["logistic", "isotonic"]
    similarities: tuple[float, ...] = Field(min_length=2, description="ascending")
    log_odds: tuple[float, ...] = Field(min_length=2, description="natural logarithm")
    genuine_pairs: int = Field(gt=0)
    impostor_pairs: int = Field(gt=0)
    flip: bool


class Quantisation(BaseModel):
    """How a network was brought to 8 bits, and what it lost."""

    model_config = ConfigDict(extra="forbid")

    scheme: Literal["int8"] = "int8"
    calibrated_on: str = Field(description="faces that set the ranges")
    ranges: str = Field(description="how a range was chosen: minmax, percentile or mse")
    fine_tuned_steps: int = Field(default=0, ge=0)
    begins_with: str = Field(
        default="", description="the network's module before which all is in float; empty if none"
    )
    float_layers: list[str] = Field(
        default_factory=list, description="the network's own names, of modules behind it"
    )
    mean_cosine: float = Field(description="to the float network, on held-out faces")
    least_cosine: float
    held_out: int = Field(gt=0, description="number of these faces")


class ModelCard(BaseModel):
    """Everything a weights file needs beside it to be used rightly."""

    model_config = ConfigDict(extra="forbid")

    format: int = 1
    architecture: str = Field(description="name in the registry of models, or 'foreign'")
    options: dict[str, Any] = Field(default_factory=dict, description="keywords of create_model")
    genotype: dict[str, Any] | None = None
    embedding_size: int = Field(gt=0)
    parameters: int | None = Field(default=None, ge=0)
    preprocessing: Preprocessing = Preprocessing()
    data: str = "unknown"
    licence: str = "unknown"
    notes: str = ""
    sha256: str = Field(description="of the weights file, hexadecimal")
    thresholds: list[Threshold] = Field(default_factory=list)
    calibration: Calibration | None = None
    quantisation: Quantisation | None = None


def card_path(weights: Path) -> Path:
    """Where the card of `weights` lies: the same name with the ending `.json`."""
    return weights.with_suffix(".json")


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, hexadecimal, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_card(weights: Path, card: ModelCard) -> Path:
    """Write `card` beside `weights`, whole or not at all."""
    target = card_path(weights)
    atomic.write_text(target, card.model_dump_json(indent=2) + "\n")
    return target


def read_card(weights: Path) -> ModelCard | None:
    """Read the card beside `weights`, or None if there is none.

    Raises WeightsError if the card cannot be understood, or speaks for another file.
    """
    path = card_path(weights)
    if not path.is_file():
        return None
    try:
        card = ModelCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a model card: {error}. "
            "Write it again with the command that made the weights, or move it away."
        ) from error
    actual = sha256_of(weights)
    if actual != card.sha256:
        raise WeightsError(
            f"{path} describes a file with sha256 {card.sha256[:12]}..., but {weights.name} has "
            f"{actual[:12]}...: one of them was changed or copied without the other. "
            "Put the matching pair together again."
        )
    return card
