"""Networks as files for a device, each checked against the network that it came from."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketface.deploy.export import Export, export_network
    from pocketface.deploy.options import ExportOptions
    from pocketface.deploy.parity import Parity
    from pocketface.deploy.targets import TARGETS

__all__ = ["TARGETS", "Export", "ExportOptions", "Parity", "export_network"]

_HOMES = {
    "Export": "export",
    "ExportOptions": "options",
    "Parity": "parity",
    "TARGETS": "targets",
    "export_network": "export",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the table of targets needs nothing of what the targets need."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
