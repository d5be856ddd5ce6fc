"""PocketFace: face-recognition networks of about one million parameters."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketface.embedding.loaded import LoadedEmbedder as Embedder

__all__ = ["Embedder", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `Embedder` when it is asked for."""
    if name == "Embedder":
        from pocketface.embedding.loaded import LoadedEmbedder

        return LoadedEmbedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
