"""The operating points of a benchmark on a model's card, and the choice among them."""

from pocketface.benchmarks.pair_result import PairResult
from pocketface.card import Calibration, ModelCard, Threshold
from pocketface.errors import RecipeError


def thresholds_of(result: PairResult) -> list[Threshold]:
    """The operating points of `result` as a card carries them."""
    return [
        Threshold(
            benchmark=result.benchmark,
            far=point.far,
            measured_far=point.measured_far.value,
            tar=point.tar.value,
            similarity=point.similarity,
            impostor_pairs=result.impostor_pairs,
            flip=result.flip,
        )
        for point in result.operating_points
    ]


def with_thresholds(card: ModelCard, result: PairResult) -> ModelCard:
    """A copy of `card` with `result`'s thresholds in the place of that benchmark's older ones.

    Those that `pocketface calibrate` found are kept.
    """
    kept = [
        entry
        for entry in card.thresholds
        if entry.calibrated or entry.benchmark != result.benchmark
    ]
    return card.model_copy(update={"thresholds": kept + thresholds_of(result)})


def with_calibration(
    card: ModelCard, thresholds: list[Threshold], calibration: Calibration
) -> ModelCard:
    """A copy of `card` with what `pocketface calibrate` found in the place of what it had found.

    Thresholds that an evaluation wrote are kept.
    """
    kept = [entry for entry in card.thresholds if not entry.calibrated]
    return card.model_copy(update={"thresholds": kept + thresholds, "calibration": calibration})


def choose_threshold(card: ModelCard, far: float) -> Threshold | None:
    """The threshold of `card` for this FAR; None if the card has no thresholds at all.

    One that `pocketface calibrate` found goes first; else, of several benchmarks' thresholds, it
    is the one that most impostor pairs speak for. Raises
    RecipeError if the card has thresholds, but none for `far`.
    """
    if not card.thresholds:
        return None
    fitting = [entry for entry in card.thresholds if entry.far == far]
    if not fitting:
        known = ", ".join(f"{value:g}" for value in sorted({e.far for e in card.thresholds}))
        raise RecipeError(
            f"no threshold is known for a FAR of {far:g}; the card has: {known}. "
            "Choose one of these, or run `pocketface calibrate` with it."
        )
    return max(fitting, key=lambda entry: (entry.calibrated, entry.impostor_pairs))
