"""The two pictures of a report: the curve of error rates, and the scores behind it."""

import io

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pocketface.benchmarks.pair_result import PairResult

GENUINE = "#0072b2"
IMPOSTOR = "#d55e00"
_INK = "#222222"
_FAINT = "#dddddd"
_SIZE = (6.4, 4.2)
_DPI = 150
_BINS = 80


def roc_png(result: PairResult) -> bytes:
    """TAR over FAR (logarithmic) with the operating points; a PNG file."""
    figure, axes = _canvas("False accept rate (FAR)", "True accept rate (TAR)")
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
    _percent_axis(axes)
    for point in result.operating_points:
        axes.plot(point.far, point.tar.value, "o", color=IMPOSTOR, markersize=5, zorder=3)
        axes.annotate(
            f"{100 * point.tar.value:.2f} %\nat FAR {point.far:g}",
            (point.far, point.tar.value),
            xytext=(6, -6),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=_INK,
        )
    axes.set_title(f"{result.model.name} on {result.benchmark}: ROC", fontsize=11, loc="left")
    return _png(figure)


def scores_png(result: PairResult, same: npt.NDArray[np.bool_]) -> bytes:
    """How similar pairs of one person and of two people are, and the thresholds; a PNG file.

    `same` is bool (P,), the truth of the pairs whose scores `result` carries.
    """
    if result.scores is None:
        raise ValueError("the result carries no scores")
    scores = np.array(result.scores, np.float64)
    figure, axes = _canvas("Cosine similarity", "Pairs per bin, share of their kind")
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
        axes.plot([point.similarity] * 2, [0, height], color=_INK, linewidth=0.9, linestyle=":")
        axes.annotate(
            f"FAR {point.far:g}: {point.similarity:.3f}",
            (point.similarity, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=_INK,
        )
    axes.set_ylim(0, top)
    axes.set_xlim(edges[0], edges[-1])
    _percent_axis(axes)
    axes.set_title(f"{result.model.name} on {result.benchmark}: scores", fontsize=11, loc="left")
    return _png(figure)


def _canvas(horizontal: str, vertical: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(horizontal, color=_INK)
    axes.set_ylabel(vertical, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _percent_axis(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
