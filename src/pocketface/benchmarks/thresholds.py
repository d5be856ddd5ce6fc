"""The operating points of a benchmark on a model's card, and the choice among them."""

from pocketface.benchmarks.pair_result import PairResult
from pocketface.card import ModelCard, Threshold
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
    """A copy of `card` with `result`'s thresholds in the place of that benchmark's older ones."""
    kept = [entry for entry in card.thresholds if entry.benchmark != result.benchmark]
    return card.model_copy(update={"thresholds": kept + thresholds_of(result)})


def choose_threshold(card: ModelCard, far: float) -> Threshold | None:
    """The threshold of `card` for this FAR; None if the card has no thresholds at all.

    Of several benchmarks' thresholds it is the one that most impostor pairs speak for. Raises
    RecipeError if the card has thresholds, but none for `far`.
    """
    if not card.thresholds:
        return None
    fitting = [entry for entry in card.thresholds if entry.far == far]
    if not fitting:
        known = ", ".join(f"{value:g}" for value in sorted({e.far for e in card.thresholds}))
        raise RecipeError(
            f"no threshold is known for a FAR of {far:g}; the card has: {known}. "
            "Choose one of these, or run `pocketface evaluate` on a set with more pairs."
        )
    return max(fitting, key=lambda entry: entry.impostor_pairs)
