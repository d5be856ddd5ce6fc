"""How little a low false accept rate says when few impostor pairs stand behind it."""

import math

import numpy as np

FEW = 10
"""With fewer accepted impostor pairs than this, a figure at a FAR is warned about."""


def rate_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of a rate of which `count` in `total` were seen.

    Its ends are the rates at which so many, or so few, would be seen with probability
    (1 - level) / 2. Independent trials are assumed; where pairs share people the truth is wider.
    Raises ValueError unless 0 <= count <= total and total > 0.
    """
    if not 0 <= count <= total or total <= 0:
        raise ValueError(f"need 0 <= count <= total and total > 0, got {count} of {total}")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else 1 - _upper_end(total - count, total, tail)
    high = 1.0 if count == total else _upper_end(count, total, tail)
    return low, high


def low_far_warning(far: float, accepted: int, impostor_pairs: int) -> str | None:
    """A warning where fewer than ten impostor pairs may pass at `far`; None where more may.

    `accepted` is how many of the `impostor_pairs` passed at the threshold that was used.
    """
    allowed = far * impostor_pairs
    if allowed >= FEW:
        return None
    low, high = rate_interval(accepted, impostor_pairs)
    return (
        f"Warning: TAR at FAR {far:g} rests on {accepted:,} of {impostor_pairs:,} pairs of two "
        f"people (FAR x pairs = {allowed:.3g}, ten or more are wanted). At that threshold "
        f"the true FAR lies between {low:.2g} and {high:.2g} (95 %), or wider where pairs "
        "share people."
    )


def _upper_end(count: int, total: int, tail: float) -> float:
    """The rate at which at most `count` of `total` are seen with probability `tail`."""
    seen = np.arange(count + 1)
    # log of the binomial coefficients, by the ratio of neighbours.
    ratios = np.log(total - seen[:-1]) - np.log(seen[:-1] + 1.0)
    choose = np.concatenate([[0.0], np.cumsum(ratios)])
    below, above = count / total, 1.0
    for _ in range(200):
        rate = (below + above) / 2
        if rate in (below, above):
            break
        terms = choose + seen * math.log(rate) + (total - seen) * math.log1p(-rate)
        largest = float(terms.max())
        if largest + math.log(float(np.exp(terms - largest).sum())) > math.log(tail):
            below = rate
        else:
            above = rate
    return above
