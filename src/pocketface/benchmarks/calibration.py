"""From a similarity to the probability that two faces are of one person.

Both maps hold at even odds: the two kinds of pairs weigh the same, however many there are of
each, so the map does not depend on how a set was put together. Other odds are added afterwards.

Logistic: the log of the odds is a straight line in the similarity, fitted by maximum likelihood
with Platt's targets (Platt 1999), (n + 1) / (n + 2) for a kind of n pairs, which keep the line
finite where the kinds do not overlap. Isotonic: any rising map, by pooling adjacent violators
(Ayer et al. 1955); its ends are held to what the number of pairs can support (our choice).

Shapes: P pairs.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.folds import fold_numbers
from pocketface.benchmarks.roc import check_kinds
from pocketface.card import Calibration

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Knots = tuple[Floats, Floats]
"""Similarities, ascending, and the log of the odds there; straight lines between."""

Method = Literal["logistic", "isotonic"]

_STEPS = 100


def fit(similarity: Floats, same: Bools, method: Method) -> Knots:
    """The map that fits the scored pairs, float64 (P,) and bool (P,).

    Raises DataError unless there are pairs of both kinds.
    """
    check_kinds(same)
    return _logistic(similarity, same) if method == "logistic" else _isotonic(similarity, same)


def log_odds(knots: Knots, similarity: Floats) -> Floats:
    """The log of the odds at `similarity`, level beyond the outer knots."""
    found: Floats = np.interp(similarity, *knots)
    return found


def probability(calibration: Calibration, similarity: float, prior: float = 0.5) -> float:
    """The probability that two faces of this similarity are of one person.

    `prior`, within 0 and 1, is how likely that was before they were looked at.
    """
    knots = np.array(calibration.similarities), np.array(calibration.log_odds)
    total = float(log_odds(knots, np.array([similarity]))[0]) + float(
        np.log(prior) - np.log1p(-prior)
    )
    return float(_sigmoid(np.array([total]))[0])


def held_out_loss(similarity: Floats, same: Bools, method: Method, folds: int = 10) -> float:
    """The log loss, in nats at even odds, of maps fitted without the fold that they are tested on.

    Knowing nothing loses log 2 = 0.693. The folds are contiguous; NaN if some fold's other folds
    lack a kind of pairs.
    """
    fold = fold_numbers(len(same), min(folds, len(same)))
    losses = np.empty(len(same))
    for number in range(int(fold.max()) + 1):
        tested = fold == number
        if same[~tested].all() or not same[~tested].any():
            return float("nan")
        knots = fit(similarity[~tested], same[~tested], method)
        found = log_odds(knots, similarity[tested])
        losses[tested] = np.logaddexp(0, np.where(same[tested], -found, found))
    return float((losses[same].mean() + losses[~same].mean()) / 2)


def _logistic(similarity: Floats, same: Bools) -> Knots:
    genuine, impostors = int(same.sum()), int((~same).sum())
    targets = np.where(same, (genuine + 1) / (genuine + 2), 1 / (impostors + 2))
    weights = np.where(same, 0.5 / genuine, 0.5 / impostors)
    middle, width = float(similarity.mean()), float(similarity.std()) or 1.0
    design = np.stack([(similarity - middle) / width, np.ones(len(similarity))], axis=1)
    line = np.zeros(2)
    loss = _loss(design @ line, targets, weights)
    for _ in range(_STEPS):
        found = _sigmoid(design @ line)
        slope = design.T @ (weights * (found - targets))
        # The small ridge keeps a step finite where all similarities are equal.
        curvature = (design * (weights * found * (1 - found))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), slope)
        # Newton, with half the step as long as it does not help.
        share = 1.0
        while share > 1e-6:
            candidate = line - share * step
            better = _loss(design @ candidate, targets, weights)
            if better <= loss:
                break
            share /= 2
        else:
            break
        improved = loss - better
        line, loss = candidate, better
        if improved < 1e-14:
            break
    # A map that falls would say that less similar faces are more likely one person.
    rise = max(float(line[0]) / width, 0.0)
    level = float(line[1]) - rise * middle
    ends = np.array([-1.0, 1.0])
    return ends, level + rise * ends


def _isotonic(similarity: Floats, same: Bools) -> Knots:
    genuine, impostors = int(same.sum()), int((~same).sum())
    places, where = np.unique(similarity, return_inverse=True)
    positive = np.bincount(where, same / genuine, minlength=len(places))
    negative = np.bincount(where, ~same / impostors, minlength=len(places))
    # Each block: weight of one person's pairs, weight of all, first and last place.
    blocks: list[tuple[float, float, int, int]] = []
    for place in range(len(places)):
        block = (float(positive[place]), float(positive[place] + negative[place]), place, place)
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2], block[3])
        blocks.append(block)
    knots: list[tuple[float, float]] = []
    for part, whole, first, last in blocks:
        held = min(max(part / whole, 1 / (impostors + 2)), 1 - 1 / (genuine + 2))
        odds = float(np.log(held) - np.log1p(-held))
        knots += [(float(places[end]), odds) for end in sorted({first, last})]
    if len(knots) == 1:
        knots.append((knots[0][0] + 1e-9, knots[0][1]))
    found = np.array(knots)
    return found[:, 0], found[:, 1]


def _loss(found: Floats, targets: Floats, weights: Floats) -> float:
    return float((weights * (np.logaddexp(0, found) - targets * found)).sum())


def _sigmoid(value: Floats) -> Floats:
    found: Floats = np.exp(-np.logaddexp(0, -value))
    return found
