"""What several processes hold together: the batch that each has a share of."""

from pocketface.parallel.gather import (
    gather,
    gather_rows,
    own_rows,
    rank,
    row_counts,
    world_size,
)

__all__ = ["gather", "gather_rows", "own_rows", "rank", "row_counts", "world_size"]
