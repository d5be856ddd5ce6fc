"""Images to embeddings, whatever the runtime."""
