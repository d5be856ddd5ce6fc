"""An ExecuTorch file as an embedder, run on the CPU. Importing this module imports torch."""

import hashlib
import struct
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.network_file import NetworkFile, Port, first_line
from pocketface.embedding.self_description import KEY
from pocketface.embedding.weights_beside import WEIGHTS_KEY
from pocketface.errors import MissingExtraError, WeightsError

try:
    import torch

    # Not executorch.runtime: that imports all that exports need, too, for seconds.
    from executorch.extension.pybindings import _C
except ModuleNotFoundError as error:
    raise MissingExtraError("Running ExecuTorch files (.pte)", "train,executorch") from error

_METHOD = "forward"

_TYPES = {0: "uint8", 1: "int8", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64"}
"""Numbers of torch's scalar types."""

_MAGIC, _HEADER = b"ET", b"eh00"
"""What stands at bytes 4 and 8 of a file; the second only where parts follow the program."""


class ExecuTorchEmbedder(FileEmbedder):
    """`FileEmbedder` for `.pte`.

    XNNPACK's threads belong to the process: the last file that was loaded with a number of
    `threads` says how many there are, for all files.

    Raises as `FileEmbedder`.
    """

    @staticmethod
    def _open(path: Path, threads: int | None) -> NetworkFile:
        content = path.read_bytes()
        parts = _check(content, path)
        if threads is not None:
            use_threads(threads)
        try:
            program = ExecuTorchProgram(content)
            metadata = program.metadata()
            named = metadata.get(WEIGHTS_KEY)
            if named and named != weights_sha256(content[parts:]):
                raise WeightsError(
                    f"{path} was changed: its weights are not those it was written with. Copy or "
                    "export it again."
                )
            ports = program.inputs()
        except (RuntimeError, ValueError) as error:  # a name may be no text any more
            raise WeightsError(
                f"{path} is not a network that ExecuTorch can run: {first_line(error)} Copy or "
                "export it again."
            ) from error
        sha256 = hashlib.sha256(content).hexdigest()
        return NetworkFile(path, sha256, ports, program.run, metadata)


def weights_sha256(parts: bytes) -> str:
    """The identity, hexadecimal, of what follows the program in a file."""
    return hashlib.sha256(parts).hexdigest()


def parts_of(content: bytes) -> tuple[int, int]:
    """Where what follows the program begins and ends in a file; both its end, if nothing does."""
    if content[8:12] != _HEADER:
        return len(content), len(content)
    size, begin, follows = struct.unpack_from("<QQQ", content.ljust(40, b"\0"), 16)
    begin = max(begin, size)
    return begin, begin + follows


def _check(content: bytes, path: Path) -> int:
    """Where the parts behind the program begin. ExecuTorch itself ends the process over some files.

    Raises WeightsError for what is no whole ExecuTorch file.
    """
    if content[4:6] != _MAGIC:
        raise WeightsError(f"{path} is not an ExecuTorch file. Copy or export it again.")
    begin, end = parts_of(content)
    if len(content) < 48 or end > len(content):
        raise WeightsError(
            f"{path} is cut short: it has {len(content)} bytes of {end}. Copy it again."
        )
    return begin


class ExecuTorchProgram:
    """A program in memory. Where the threads that it was opened with are gone, it opens again."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._module: Any = None
        _programs.add(self)

    def metadata(self) -> dict[str, str]:
        """What the methods say that bear our entries' names."""
        found = {}
        for key in {KEY, WEIGHTS_KEY} & set(self._open().method_names()):
            if self._open().method_meta(key).num_inputs() == 0:
                (text,) = self._open().run_method(key, ()) or ("",)
                found[key] = str(text)
        return found

    def inputs(self) -> list[Port]:
        """Those of the method that embeds. Raises RuntimeError where there is none."""
        module = self._open()
        if _METHOD not in module.method_names():
            raise RuntimeError(f"it has no method '{_METHOD}'.")
        meta = module.method_meta(_METHOD)
        ports = []
        for number in range(meta.num_inputs()):
            tensor = meta.input_tensor_meta(number)
            dtype = _TYPES.get(tensor.dtype(), f"type {tensor.dtype()}")
            ports.append(Port(f"input {number}", dtype, tuple(tensor.sizes())))
        return ports

    def run(self, images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for these images."""
        given = torch.tensor(images)  # a copy: torch shares no array that may not be written
        with _lock:  # nobody may change the threads meanwhile
            outputs = self._open().run_method(_METHOD, (given,))
        return [np.asarray(torch.as_tensor(output).numpy()) for output in outputs]

    def close(self) -> None:
        """Let the runtime forget it, until it is asked again."""
        self._module = None

    def _open(self) -> Any:
        with _lock:
            if self._module is None:
                self._module = _C._load_for_executorch_from_buffer(
                    self._content, program_verification=_C.Verification.InternalConsistency
                )
            return self._module


_lock = threading.RLock()

_programs: "weakref.WeakSet[ExecuTorchProgram]" = weakref.WeakSet()
"""Those that may hold the runtime's threads."""


def use_threads(count: int) -> None:
    """Let XNNPACK have so many threads; what is loaded must let go of the old ones before."""
    with _lock:
        if _C._threadpool_get_thread_count() != count:
            for program in list(_programs):
                program.close()
            _C._unsafe_reset_threadpool(count)
