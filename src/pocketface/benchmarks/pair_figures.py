"""The pictures of a pair report: ROC, DET, and the scores behind them."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.canvas import (
    GENUINE,
    IMPOSTOR,
    INK,
    canvas,
    percent_axis,
    png,
    shade_few,
)
from pocketface.benchmarks.margins import FEW
from pocketface.benchmarks.pair_result import OperatingPoint, RocPoint
from pocketface.benchmarks.result import Estimate, MeasuredModel

_BINS = 80


class PairCurves(Protocol):
    """What the pictures need of a result over pairs."""

    @property
    def benchmark(self) -> str: ...  # noqa: D102 - as `PairResult` has them

    @property
    def model(self) -> MeasuredModel: ...  # noqa: D102

    @property
    def genuine_pairs(self) -> int: ...  # noqa: D102

    @property
    def impostor_pairs(self) -> int: ...  # noqa: D102

    @property
    def eer(self) -> Estimate: ...  # noqa: D102

    @property
    def operating_points(self) -> tuple[OperatingPoint, ...]: ...  # noqa: D102

    @property
    def roc(self) -> tuple[RocPoint, ...]: ...  # noqa: D102


def figures(
    result: PairCurves, scores: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]
) -> dict[str, bytes]:
    """The pictures, PNG files by file name.

    `scores` is float64 (P,), the similarity of each pair, `same` bool (P,), its truth.
    """
    return {
        "roc.png": roc_png(result),
        "det.png": det_png(result),
        "scores.png": scores_png(result, scores, same),
    }


def roc_png(result: PairCurves) -> bytes:
    """TAR over FAR (logarithmic) with the operating points; a PNG file."""
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: ROC",
        "False accept rate (FAR)",
        "True accept rate (TAR)",
    )
    far = np.array([point.far for point in result.roc])
    tar = np.array([point.tar for point in result.roc])
    # A logarithmic axis has no 0: what is reached without a false accept starts at the left edge.
    edge = 0.5 / result.impostor_pairs
    axes.step(np.maximum(far, edge), tar, where="post", color=GENUINE, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_xlim(edge, 1.0)
    lowest = float(tar[0])
    # Room for a label below the lowest point, and for the line at the top.
    height = max(1 - lowest, 0.005)
    axes.set_ylim(max(lowest - 0.2 * height, 0.0), 1 + 0.04 * height)
    percent_axis(axes)
    for point in result.operating_points:
        axes.plot(point.far, point.tar.value, "o", color=IMPOSTOR, markersize=5, zorder=3)
        axes.annotate(
            f"{100 * point.tar.value:.2f} %\nat FAR {point.far:g}",
            (point.far, point.tar.value),
            xytext=(6, -6),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=INK,
        )
    shade_few(axes, result.impostor_pairs, FEW)
    return png(figure)


def det_png(result: PairCurves) -> bytes:
    """What is wrongly rejected over what is wrongly accepted, both logarithmic; a PNG file."""
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: DET",
        "False accept rate (FAR)",
        "False reject rate (1 - TAR)",
    )
    # Logarithmic axes have no 0: half a pair stands for none.
    edge, floor = 0.5 / result.impostor_pairs, 0.5 / result.genuine_pairs
    far = np.array([point.far for point in result.roc])
    missed = np.array([1 - point.tar for point in result.roc])
    axes.step(
        np.maximum(far, edge), np.maximum(missed, floor), where="post", color=GENUINE, linewidth=1.8
    )
    rate = result.eer.value
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(edge, 1)
    axes.set_ylim(floor, 1)
    ends = np.array([max(edge, floor), 1])
    axes.plot(ends, ends, color=INK, linewidth=0.7, linestyle=":")
    if rate > max(edge, floor):
        axes.plot(rate, rate, "o", color=IMPOSTOR, markersize=5, zorder=3)
        axes.annotate(
            f"equal error rate {100 * rate:.2f} %",
            (rate, rate),
            xytext=(8, 4),
            textcoords="offset points",
            fontsize=8.5,
            color=INK,
        )
    shade_few(axes, result.impostor_pairs, FEW)
    return png(figure)


def scores_png(
    result: PairCurves, scores: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]
) -> bytes:
    """How similar pairs of one person and of two people are, and the thresholds; a PNG file.

    `scores` is float64 (P,), the similarity of each pair, `same` bool (P,), its truth.
    """
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: scores",
        "Cosine similarity",
        "Pairs per bin, share of their kind",
    )
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(low, max(high, low + 1e-6), _BINS + 1)
    tallest = 0.0
    for kind, colour, label in (
        (~same, IMPOSTOR, "two people"),
        (same, GENUINE, "one person"),
    ):
        counts, _ = np.histogram(scores[kind], edges)
        share = counts / counts.sum()
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(share, edges, color=colour, linewidth=1.2)
        tallest = max(tallest, float(share.max()))
        axes.text(
            float(np.median(scores[kind])),
            float(share.max()) + 0.02 * tallest,
            f"{label} ({counts.sum():,})",
            color=colour,
            ha="center",
            fontsize=9,
        )
    top = 1.35 * tallest
    for rank, point in enumerate(result.operating_points):
        height = top * (0.97 - 0.07 * rank)
        axes.plot([point.similarity] * 2, [0, height], color=INK, linewidth=0.9, linestyle=":")
        axes.annotate(
            f"FAR {point.far:g}: {point.similarity:.3f}",
            (point.similarity, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=INK,
        )
    axes.set_ylim(0, top)
    axes.set_xlim(edges[0], edges[-1])
    percent_axis(axes)
    return png(figure)
