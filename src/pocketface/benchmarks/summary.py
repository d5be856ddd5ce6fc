"""A result as rows of text: the one wording of terminal, Markdown and HTML."""

from typing import NamedTuple

from pocketface.benchmarks.pair_result import Estimate, PairResult


class Row(NamedTuple):
    """A figure's name, its value, its confidence interval and a remark; all text."""

    figure: str
    value: str
    interval: str
    remark: str


def summary_rows(result: PairResult) -> list[Row]:
    """The figures of a result, the protocol's own first."""
    folds = len(result.folds)
    rows = [
        Row(
            "Accuracy",
            percent(result.accuracy.value),
            _interval(result.accuracy),
            f"mean of {folds} folds, standard deviation {percent(result.accuracy_std)}",
        ),
        Row(
            f"TAR at FAR {result.fold_far:g}, over folds",
            percent(result.fold_tar.value),
            _interval(result.fold_tar),
            f"standard deviation {percent(result.fold_tar_std)}, "
            f"mean FAR {percent(result.fold_tar_far)}",
        ),
    ]
    rows += [
        Row(
            f"TAR at FAR {point.far:g}, all pairs",
            percent(point.tar.value),
            _interval(point.tar),
            f"same person if similarity is at least {point.similarity:.4f}",
        )
        for point in result.operating_points
    ]
    rows += [
        Row("Equal error rate", percent(result.eer.value), _interval(result.eer), "all pairs"),
        Row(
            "Area under ROC",
            f"{result.auc.value:.5f}",
            "" if result.auc.low is None else f"{result.auc.low:.5f} to {result.auc.high:.5f}",
            "all pairs",
        ),
    ]
    return rows


def set_sentence(result: PairResult) -> str:
    """What was measured: pairs, images, people, mirror images."""
    people = "" if result.people is None else f" of {result.people:,} people"
    flip = "image and mirror summed" if result.flip else "without mirror images"
    return (
        f"{result.pairs:,} pairs ({result.genuine_pairs:,} of one person, "
        f"{result.impostor_pairs:,} of two) of {result.images:,} images{people}; {flip}."
    )


def interval_sentence(result: PairResult) -> str:
    """How the intervals were made."""
    made = result.intervals
    if made is None:
        return "No confidence intervals were computed."
    doubt = (
        ""
        if made.drawn == "people"
        else " (the set does not say who is on the images; intervals are narrower than they should)"
    )
    return (
        f"Intervals hold {made.level:.0%} of {made.replicates:,} bootstrap replicates that draw "
        f"{made.drawn} with replacement{doubt}; seed {made.seed}."
    )


def percent(share: float) -> str:
    """A share of 1 in per cent, with the three decimals that one pair of 6,000 moves."""
    return f"{100 * share:.3f} %"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f} %"
