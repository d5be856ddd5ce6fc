"""What can be asked of an exported file."""

from dataclasses import dataclass
from typing import get_args

from pocketface.embedding.self_description import InputKind, OutputKind
from pocketface.errors import RecipeError

OPSETS = range(18, 24)
"""ONNX operator sets that are written; the least is read by the most runtimes."""


@dataclass(frozen=True)
class ExportOptions:
    """How the file is to be.

    Attributes:
        input: 'float' takes float32 (N, 3, S, S), normalised as the card says; 'uint8' takes RGB
            pixels (N, S, S, 3) and normalises them itself.
        output: 'raw' gives the embeddings (N, D); 'unit' gives them divided by their length, and
            the lengths (N, 1) as a second output.
        batch: N, where it is to be fixed; None leaves it free.
        opset: the operator set, of ONNX files and of what is made from them.

    Raises RecipeError for another value.
    """

    input: InputKind = "float"
    output: OutputKind = "raw"
    batch: int | None = None
    opset: int = OPSETS[0]

    def __post_init__(self) -> None:
        for name, kinds in {"input": InputKind, "output": OutputKind}.items():
            known, found = get_args(kinds), getattr(self, name)
            if found not in known:
                raise RecipeError(f"{name} must be {' or '.join(known)}, got '{found}'.")
        if self.batch is not None and self.batch < 1:
            raise RecipeError(f"batch must be at least 1, got {self.batch}.")
        if self.opset not in OPSETS:
            raise RecipeError(f"opset must be {OPSETS[0]} to {OPSETS[-1]}, got {self.opset}.")
