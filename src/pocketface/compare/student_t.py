"""Student's t distribution for whole degrees of freedom: how far a mean of few seeds may be off.

The probability that |t| stays below a bound is a finite series of trigonometric terms
(Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4), exact up to
rounding; its inverse is found by halving.
"""

import math

_HALVINGS = 200
"""Far more than doubles can tell apart; the search ends when they cannot."""


def probability_within(bound: float, freedom: int) -> float:
    """The probability that |t| < `bound` (at least 0) with `freedom` degrees of freedom.

    Raises ValueError if `freedom` is less than 1 or `bound` is negative.
    """
    if freedom < 1 or not bound >= 0:
        raise ValueError(f"needs freedom >= 1 and bound >= 0, got {freedom} and {bound}")
    angle = math.atan2(bound, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    # Odd: cos + 2/3 cos^3 + 2*4/(3*5) cos^5 ...; even: 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 ...
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    within = (2 / math.pi) * (angle + sine * total) if odd else sine * total
    return min(within, 1.0)


def two_sided_p(t: float, freedom: int) -> float:
    """The probability of a |t| at least this large where nothing but chance is at work."""
    return 1.0 - probability_within(abs(t), freedom)


def bound_within(level: float, freedom: int) -> float:
    """The bound that |t| stays below with probability `level`: 4.30 for 95 % and 2 degrees.

    Raises ValueError unless 0 < `level` < 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    low, high = 0.0, 1.0
    while probability_within(high, freedom) < level:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if probability_within(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return high
