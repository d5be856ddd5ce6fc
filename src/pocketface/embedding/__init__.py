"""Images to embeddings, whatever the runtime."""

from pocketface.embedding.embedder import Embedder
from pocketface.embedding.load import load_embedder

__all__ = ["Embedder", "load_embedder"]
