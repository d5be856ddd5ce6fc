"""Recipe, loop, validation, checkpoint."""
