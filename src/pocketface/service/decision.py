"""From which similarity on two faces count as one person's, and how embeddings are made for it."""

from dataclasses import dataclass

from pocketface.benchmarks.calibration import probability
from pocketface.benchmarks.thresholds import choose_threshold
from pocketface.card import Calibration, ModelCard
from pocketface.errors import RecipeError
from pocketface.service.answers import Limit, Operating


@dataclass(frozen=True)
class Decision:
    """How to decide.

    `limit` is None where no threshold is known: then nothing is decided. `flip` is whether the
    embeddings of image and mirror are summed, as the threshold was measured. `points` are the
    card's thresholds of the same benchmark.
    """

    limit: Limit | None
    flip: bool
    calibration: Calibration | None
    points: tuple[Operating, ...]

    def probability(self, similarity: float) -> float | None:
        """That two faces of this similarity are one person's, at even odds; None if not known."""
        return None if self.calibration is None else probability(self.calibration, similarity)


def decision_for(
    card: ModelCard | None, far: float, threshold: float | None, flip: bool | None
) -> Decision:
    """The decision by a `threshold` that the user names, else by the card's for this `far`.

    `flip` is the gallery's, None without one. Raises RecipeError for a threshold out of range, a
    `far` that the card has no threshold for, and a threshold measured on other sums than the
    gallery holds.
    """
    chosen = None if threshold is not None or card is None else choose_threshold(card, far)
    if chosen is not None and flip not in (None, chosen.flip):
        raise RecipeError(
            f"the gallery holds embeddings {_summed(bool(flip))}, but the threshold for FAR "
            f"{far:g} was measured {_summed(chosen.flip)}. Measure one that fits with: pocketface "
            "calibrate, or give --threshold."
        )
    summed = flip if flip is not None else chosen.flip if chosen is not None else True
    calibration = None if card is None else card.calibration
    if calibration is not None and calibration.flip != summed:
        calibration = None
    if threshold is not None:
        if not -1 <= threshold <= 1:
            raise RecipeError(f"--threshold is a cosine from -1 to 1, got {threshold:g}.")
        by_hand = Limit(
            similarity=threshold, far=None, tar=None, measured_on=None, impostor_pairs=None
        )
        return Decision(by_hand, summed, calibration, ())
    if chosen is None or card is None:
        return Decision(None, summed, calibration, ())
    limit = Limit(
        similarity=chosen.similarity,
        # None of the pairs passing is no proof of a FAR of nought: then what was aimed at counts.
        far=chosen.measured_far or chosen.far,
        tar=chosen.tar,
        measured_on=chosen.benchmark,
        impostor_pairs=chosen.impostor_pairs,
    )
    alike = [
        Operating(far=entry.far, similarity=entry.similarity)
        for entry in sorted(card.thresholds, key=lambda entry: -entry.far)
        if (entry.benchmark, entry.flip, entry.calibrated)
        == (chosen.benchmark, chosen.flip, chosen.calibrated)
    ]
    return Decision(limit, summed, calibration, tuple(alike))


def _summed(flip: bool) -> str:
    return "summed over image and mirror" if flip else "of the image alone"
