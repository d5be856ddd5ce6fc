"""What profiling found, as `profile.json` holds it."""

from typing import Literal

from pydantic import Field

from pocketface.benchmarks.result import Record
from pocketface.profile.latency import Latency
from pocketface.profile.layers import Layers
from pocketface.profile.machine import BUSY, Machine

_UNDISTURBED = 0.9
"""Processor's time over the clock's, with one thread, under which a network was interrupted."""


class Measurement(Record):
    """One network in one runtime, with so many threads and images at once.

    Attributes:
        version: of the runtime.
        latency: of an image.
        load_ms: milliseconds from the file to a network that can be run.
        peak_memory: bytes at most above what the process took with its runtime imported and its
            images drawn; None where the system does not tell.
    """

    runtime: str
    version: str
    threads: int = Field(gt=0)
    batch: int = Field(gt=0)
    latency: Latency
    load_ms: float = Field(ge=0)
    peak_memory: int | None

    @property
    def title(self) -> str:
        """'onnxruntime, 1 thread, 16 images'."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        images = "" if self.batch == 1 else f", {self.batch} images"
        return f"{self.runtime}, {threads}{images}"

    @property
    def interrupted(self) -> bool:
        """Whether other programs took the processor away: seen with one thread only."""
        clock = self.latency.median
        return self.threads == 1 and self.latency.cpu < _UNDISTURBED * clock


class Prediction(Record):
    """The latency of an image that a table of primitives gives for a PocketNet.

    Attributes:
        table: the file's name.
        runtime, threads: that the table was measured with.
        same_machine: whether that was this machine.
    """

    table: str
    runtime: str
    threads: int
    milliseconds: float
    same_machine: bool


class ModelProfile(Record):
    """What is known and was measured of one network.

    Attributes:
        source: where the network came from; one by name has drawn weights.
        parameters: numbers that are learnt; None where nothing says it.
        macs: multiply-accumulates of convolutions and matrix products, for one image.
        counted: whether `macs` are the network's, or those of the file as onnxruntime runs it.
        paper_mflops: counted as the PocketNet paper does; None for what is not in the registry.
        published_mflops: what the paper prints, where the network is one of its own.
        bytes: size of the file, with its companions: the given one, or the ONNX file that
            `pocketface export` writes.
        fingerprints: by which reports know the network.
        notes: what could not be measured, and why.
    """

    name: str
    source: Literal["registry", "weights", "onnx", "exported"]
    architecture: str
    embedding_size: int
    image_size: int
    parameters: int | None
    macs: int
    counted: Literal["network", "file"]
    paper_mflops: float | None
    published_mflops: float | None
    bytes: int
    fingerprints: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    layers: Layers | None = None
    prediction: Prediction | None = None
    notes: tuple[str, ...] = ()


class Profile(Record):
    """All networks, measured in turns on one machine.

    Attributes:
        created: date and time, ISO 8601 with the time zone.
        load: programs that ran or waited before the measuring, a mean over a minute.
        seconds: that measuring latency took.
        stopped: whether it was cut by Ctrl-C.
    """

    kind: Literal["profile"] = "profile"
    format: Literal[1] = 1
    version: str
    created: str
    machine: Machine
    load: float | None
    seconds: float
    stopped: bool
    models: tuple[ModelProfile, ...]

    def warnings(self) -> list[str]:
        """What a reader must know before trusting the figures."""
        found = []
        measured = [each for model in self.models for each in model.measurements]
        busy = self.load is not None and self.load > BUSY * self.machine.cores
        if busy or any(each.interrupted for each in measured):
            load = "" if self.load is None else f" (load {self.load:.1f} before the start)"
            found.append(
                f"Other programs ran on the {self.machine.cores} cores{load}: times on the clock "
                "are longer than the network's own. With one thread, cpu is what an idle machine "
                "would show."
            )
        if any(not each.latency.settled for each in measured):
            found.append(
                "~ the median is not known to 2 %: give it more --seconds, or a quieter machine."
            )
        if self.stopped:
            found.append("Stopped by Ctrl-C: these are the figures so far.")
        return found
