"""Cosines between embeddings and many class centres, in few passes over the centres.

A head for 85,742 people has more numbers than the network before it. Normalising the centres first
writes all of them again, and its gradient goes over them eight times; on a CPU that took a sixth of
a PocketNet's step. Here the product is taken with the centres as they are, and divided by their
lengths.
"""

from typing import Any

import torch
from torch import Tensor

_SHORTEST = 1e-12
"""Lengths below this count as this, as in torch's own normalisation."""


def cosines(directions: Tensor, centres: Tensor) -> Tensor:
    """Products (N, C) of `directions` (N, D) and `centres` (D, C), over the length of each centre.

    With directions of unit length these are cosines, up to rounding. Both are of one float type.
    """
    values: Tensor = _Cosines.apply(directions, centres)  # type: ignore[no-untyped-call]
    return values


class _Cosines(torch.autograd.Function):
    """See `cosines`."""

    @staticmethod
    def forward(ctx: Any, directions: Tensor, centres: Tensor) -> Tensor:
        """The values."""
        values, lengths = _values(directions, centres)
        ctx.save_for_backward(directions, centres, lengths, values)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gradients with regard to both; they can be differentiated again."""
        directions, centres, lengths, values = ctx.saved_tensors
        if torch.is_grad_enabled():
            values, lengths = _values(directions, centres)
        scaled = gradients[0] / lengths
        to_directions = scaled @ centres.T if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return to_directions, None
        # What would only make a centre longer changes no cosine.
        along = (scaled * values).sum(dim=0) / lengths
        return to_directions, (directions.T @ scaled).addcmul_(centres, along, value=-1)


def _values(directions: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    lengths = torch.linalg.vector_norm(centres, dim=0).clamp_min(_SHORTEST)
    return (directions @ centres) / lengths, lengths
