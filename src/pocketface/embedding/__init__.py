"""Images to embeddings, whatever the runtime."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketface.embedding.embedder import Embedder
    from pocketface.embedding.load import load_embedder

__all__ = ["Embedder", "load_embedder"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: `pocketface.Embedder` lies here, and is light until it loads."""
    if name == "Embedder":
        from pocketface.embedding.embedder import Embedder

        return Embedder
    if name == "load_embedder":
        from pocketface.embedding.load import load_embedder

        return load_embedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
