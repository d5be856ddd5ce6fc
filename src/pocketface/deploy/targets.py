"""The formats that networks are exported to: one row and one module for each."""

import difflib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pocketface.deploy.options import ExportOptions
from pocketface.deploy.parity import LEAST_COSINE, MOST_RELATIVE
from pocketface.embedding import Embedder
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import RecipeError

if TYPE_CHECKING:  # the table is shown without torch, too
    from pocketface.models.backbone import Backbone


class Exporter(Protocol):
    """What the module of a target holds."""

    def build(
        self, backbone: "Backbone", description: SelfDescription, options: ExportOptions, path: Path
    ) -> None:
        """Write `path` and its companions, with the description in them."""

    def open_file(self, path: Path) -> Embedder:
        """What was written, in the runtime that it is for."""


@dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
        name: as `--target` takes it.
        suffix: ending of the file that is named.
        companions: endings of further files of the same name.
        extras: what must be installed to write it (`pip install 'pocketface[...]'`).
        runtime: what runs it, and the check of it.
        options: those of `ExportOptions` that it knows.
        module: where its `Exporter` is; imported only when it is asked for.
        least_cosine, most_relative: how near to its source a file must come, or it is refused.
    """

    name: str
    suffix: str
    companions: tuple[str, ...]
    extras: tuple[str, ...]
    runtime: str
    options: tuple[str, ...]
    module: str
    least_cosine: float = LEAST_COSINE
    most_relative: float = MOST_RELATIVE

    def exporter(self) -> Exporter:
        """Import the module. Raises MissingExtraError where its needs are not installed."""
        return cast(Exporter, importlib.import_module(self.module))

    def check_options(self, options: ExportOptions) -> None:
        """Raise RecipeError for an option that was set and that this target does not know."""
        for name, usual in vars(ExportOptions()).items():
            if getattr(options, name) != usual and name not in self.options:
                raise RecipeError(
                    f"the target {self.name} has no option '{name}'; it knows "
                    f"{', '.join(self.options)}."
                )


TARGETS = {
    target.name: target
    for target in (
        Target(
            "onnx",
            ".onnx",
            (),
            ("train", "export"),
            "onnxruntime",
            ("input", "output", "batch", "opset"),
            "pocketface.deploy.onnx_export",
        ),
        Target(
            "openvino",
            ".xml",
            (".bin",),
            ("train", "export", "openvino"),
            "OpenVINO",
            ("input", "output", "batch"),
            "pocketface.deploy.openvino_export",
        ),
        Target(
            "ncnn",
            ".param",
            (".bin",),
            ("train", "export", "ncnn"),
            "ncnn",
            ("output",),
            "pocketface.deploy.ncnn_export",
        ),
        Target(
            "litert",
            ".tflite",
            (),
            ("train", "litert"),
            "LiteRT",
            ("input", "output", "batch"),
            "pocketface.deploy.litert_export",
        ),
        Target(
            "executorch",
            ".pte",
            (),
            ("train", "executorch"),
            "ExecuTorch",
            ("input", "output"),
            "pocketface.deploy.executorch_export",
        ),
    )
}
"""All of them, by name."""


def find_target(name: str) -> Target:
    """The target of this name. Raises RecipeError for another, with the nearest name."""
    if name not in TARGETS:
        near = difflib.get_close_matches(name.lower(), TARGETS, n=1, cutoff=0.4)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise RecipeError(f"there is no target '{name}'.{hint} Targets: {', '.join(TARGETS)}.")
    return TARGETS[name]
