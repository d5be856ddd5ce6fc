"""The pictures of an IJB report: ROC, DET, TPIR over FPIR, and CMC."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes

from pocketface.benchmarks.canvas import (
    GENUINE,
    IMPOSTOR,
    INK,
    canvas,
    percent_axis,
    png,
    shade_few,
)
from pocketface.benchmarks.ijb.result import CurvePoint, Identification, IjbResult
from pocketface.benchmarks.margins import FEW
from pocketface.benchmarks.result import Estimate, MeasuredModel


class OpenSetCurves(Protocol):
    """What the pictures of a 1:N protocol need of a result."""

    @property
    def benchmark(self) -> str: ...  # noqa: D102 - as `IjbResult` has them

    @property
    def model(self) -> MeasuredModel: ...  # noqa: D102

    @property
    def identification(self) -> Identification | None: ...  # noqa: D102


def figures(result: IjbResult) -> dict[str, bytes]:
    """The pictures, PNG files by file name."""
    found = {"roc.png": roc_png(result), "det.png": det_png(result)}
    if result.identification is not None:
        found["tpir.png"] = tpir_png(result)
        found["cmc.png"] = cmc_png(result)
    return found


def roc_png(result: IjbResult) -> bytes:
    """TAR over FAR (logarithmic) with the figures of the protocol; a PNG file."""
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: ROC",
        "False accept rate (FAR)",
        "True accept rate (TAR)",
    )
    edge = 0.5 / result.impostor_pairs
    far, tar = _columns(result.roc)
    # A logarithmic axis has no 0: what is reached without a false accept starts at the left edge.
    axes.step(np.maximum(far, edge), tar, where="post", color=GENUINE, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_xlim(edge, 1.0)
    for point in result.verification:
        if point.far >= edge:
            _mark(axes, point.far, point.tar)
    _limit(axes, float(tar.min()), [point.tar for point in result.verification])
    percent_axis(axes)
    shade_few(axes, result.impostor_pairs, FEW)
    return png(figure)


def det_png(result: IjbResult) -> bytes:
    """The share of rejected pairs of one person over FAR, both logarithmic; a PNG file."""
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: DET",
        "False accept rate (FAR)",
        "False reject rate (1 - TAR)",
    )
    edge, floor = 0.5 / result.impostor_pairs, 0.5 / result.genuine_pairs
    far, tar = _columns(result.roc)
    rejected = np.maximum(1 - tar, floor)
    axes.step(np.maximum(far, edge), rejected, where="post", color=GENUINE, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(edge, 1.0)
    axes.set_ylim(floor, 1.1)
    percent_axis(axes)
    shade_few(axes, result.impostor_pairs, FEW)
    return png(figure)


def tpir_png(result: OpenSetCurves) -> bytes:
    """TPIR over FPIR (logarithmic), the mean over the galleries; a PNG file."""
    found = result.identification
    if found is None:
        raise ValueError("the result has no 1:N figures")
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: search in galleries",
        "False positive identification rate (FPIR)",
        "True positive identification rate (TPIR)",
    )
    fpir, tpir = _columns(found.curve)
    fewest = max(min(found.unmated.values()), 1)
    edge = 0.5 * min(float(fpir[0]), *(point.fpir for point in found.points))
    # Below one probe without a mate the threshold stays the largest of their scores.
    axes.step(
        np.append(edge, fpir), np.append(tpir[0], tpir), where="post", color=GENUINE, linewidth=1.8
    )
    axes.set_xscale("log")
    axes.set_xlim(edge, 1.0)
    for point in found.points:
        _mark(axes, point.fpir, point.tpir)
    _limit(axes, float(tpir.min()), [point.tpir for point in found.points])
    percent_axis(axes)
    shade_few(axes, fewest, FEW, "probes without a mate are accepted")
    return png(figure)


def cmc_png(result: OpenSetCurves) -> bytes:
    """The share of the mated probes whose mate is among the best, by how many; a PNG file."""
    found = result.identification
    if found is None:
        raise ValueError("the result has no 1:N figures")
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: CMC",
        "Rank",
        "Probes whose mate reaches the rank",
    )
    axes.plot(np.arange(1, len(found.cmc) + 1), found.cmc, ".-", color=GENUINE, linewidth=1.8)
    for point in found.ranks:
        _mark(axes, point.rank, point.rate)
    _limit(axes, min(found.cmc), [point.rate for point in found.ranks])
    axes.set_xticks([1, *range(5, len(found.cmc) + 1, 5)])
    percent_axis(axes)
    return png(figure)


def _limit(axes: Axes, lowest: float, marks: Sequence[Estimate]) -> None:
    """From below the lowest point of the curve and of the intervals to 100 %."""
    ends = [mark.low for mark in marks if mark.low is not None]
    axes.set_ylim(max(min(lowest, *ends, 1.0) - 0.08, 0.0), 1.01)


def _mark(axes: Axes, rate: float, found: Estimate) -> None:
    """A figure of the protocol, with its interval and its value."""
    if found.low is not None and found.high is not None:
        axes.plot([rate] * 2, [found.low, found.high], color=IMPOSTOR, linewidth=1.2, zorder=2)
    axes.plot(rate, found.value, "o", color=IMPOSTOR, markersize=5, zorder=3)
    axes.annotate(
        f"{100 * found.value:.2f} %",
        (rate, found.value),
        xytext=(4, -5),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
        color=INK,
    )


def _columns(curve: tuple[CurvePoint, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p.false for p in curve]), np.array([p.true for p in curve])
