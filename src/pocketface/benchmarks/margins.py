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
    low = 0.0 if count == 0 else _end(count, total, tail, upper=False)
    high = 1.0 if count == total else _end(count, total, tail, upper=True)
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


def _end(count: int, total: int, tail: float, *, upper: bool) -> float:
    """The rate at which at most (upper end) or at least (lower end) `count` have chance `tail`."""
    rate = count / total
    # From `count` outwards the terms fall like a bell: what is left out is below e^-70 of the sum.
    reach = 100 + math.ceil(12 * math.sqrt(count * (1 - rate)))
    if upper:
        seen = np.arange(count, max(count - reach, 0), -1).astype(np.float64)
        ratios = np.log(seen) - np.log(total - seen + 1)
    else:
        seen = np.arange(count, min(count + reach, total)).astype(np.float64)
        ratios = np.log(total - seen) - np.log(seen + 1)
    relative = np.concatenate([[0.0], np.cumsum(ratios)])
    steps = np.arange(len(relative)) * (-1 if upper else 1)
    choose = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    near, far = rate, 1.0 if upper else 0.0
    for _ in range(200):
        rate = (near + far) / 2
        if rate in (near, far):
            break
        yes, no = math.log(rate), math.log1p(-rate)
        terms = relative + steps * (yes - no)
        largest = float(terms.max())
        chance = largest + math.log(float(np.exp(terms - largest).sum()))
        chance += choose + count * yes + (total - count) * no
        if chance > math.log(tail):
            near = rate
        else:
            far = rate
    return far
