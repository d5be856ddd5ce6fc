"""ExecuTorch's own writers of its file formats, which the target 'executorch' is built on.

They lie in its exporter's packages, which warn of much that does not concern who exports: old calls
in them, processors that are not here.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import pocketface.models  # noqa: F401  # before torch: it says so if torch is missing
from pocketface.errors import MissingExtraError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let nothing be warned of, neither by warnings nor by logs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


try:
    with quiet():
        from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as xnn
        from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import (
            CONSTANT_TENSOR_ALIGNMENT,
            serialize_xnnpack_binary,
        )
        from executorch.exir import schema
        from executorch.exir._serialize._named_data_store import (
            NamedDataStore,
            NamedDataStoreOutput,
        )
        from executorch.exir._serialize._program import PTEFile, serialize_pte_binary
        from executorch.exir.scalar_type import ScalarType
except ModuleNotFoundError as error:
    raise MissingExtraError("Exporting to ExecuTorch", "train,executorch") from error

__all__ = [
    "CONSTANT_TENSOR_ALIGNMENT",
    "NamedDataStore",
    "NamedDataStoreOutput",
    "PTEFile",
    "ScalarType",
    "quiet",
    "schema",
    "serialize_pte_binary",
    "serialize_xnnpack_binary",
    "xnn",
]
