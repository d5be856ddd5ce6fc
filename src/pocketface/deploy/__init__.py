"""Networks as files for a device, each checked against the network that it came from."""

from pocketface.errors import MissingExtraError

try:
    import onnx as _onnx  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("Exporting networks (pocketface.deploy)", "export") from error

from pocketface.deploy.onnx_export import Export, export_onnx
from pocketface.deploy.parity import Parity

__all__ = ["Export", "Parity", "export_onnx"]
