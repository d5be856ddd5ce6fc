"""What is profiled: a network as the files that the runtimes take, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pocketface.profile.runtimes import TORCH
from pocketface.profile.worker import Job

if TYPE_CHECKING:
    from pocketface.models.cost import Cost

Source = Literal["registry", "weights", "onnx", "exported"]


@dataclass(frozen=True)
class Subject:
    """A network on the disk, ready to be opened by workers.

    Attributes:
        name: that it goes by here.
        source: a name in the registry (its weights are drawn), a weights file, an ONNX file, or
            a file for another runtime.
        file: the one that runtimes take: the given one, or the ONNX file that `pocketface export`
            would write.
        weights: the weights file; None where only such a file was given.
        architecture: name in the registry, or 'foreign'.
        embedding_size: D.
        image_size: S, in pixels.
        pixels: whether the file takes uint8 (N, S, S, 3) and not float32 (N, 3, S, S).
        batch: N, where the file fixes it.
        cost: of the network; None where it is not in the registry, or torch is not installed.
        parameters: numbers that are learnt; None where nothing says it.
        options: keywords of `create_model` that build the network, where they are known.
        fingerprints: what reports may call it.
        runtime: the only one that runs the file; None where it is an ONNX file.
    """

    name: str
    source: Source
    file: Path
    weights: Path | None
    architecture: str
    embedding_size: int
    image_size: int
    pixels: bool = False
    batch: int | None = None
    cost: "Cost | None" = None
    parameters: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprints: frozenset[str] = field(default_factory=frozenset)
    runtime: str | None = None

    def job(self, runtime: str, threads: int, batch: int) -> Job | None:
        """What a worker is to open; None where this runtime or batch cannot be had."""
        size, side = self.image_size, (batch, 3, self.image_size, self.image_size)
        if runtime == TORCH:
            if self.weights is None:
                return None
            return Job(runtime=runtime, file=self.weights, shape=side, threads=threads)
        if self.runtime not in (None, runtime) or self.batch not in (None, batch):
            return None
        return Job(
            runtime=runtime,
            file=self.file,
            shape=(batch, size, size, 3) if self.pixels else side,
            dtype="uint8" if self.pixels else "float32",
            threads=threads,
        )
