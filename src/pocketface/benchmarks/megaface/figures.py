"""The pictures of a MegaFace report: CMC, rank 1 against the number of distractors, ROC, DET."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

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
from pocketface.benchmarks.megaface.result import MegafaceResult
from pocketface.benchmarks.result import Estimate

_COLOURS = {"raw": IMPOSTOR, "refined": GENUINE}


def figures(result: MegafaceResult) -> dict[str, bytes]:
    """The pictures, PNG files by file name."""
    return {
        "cmc.png": cmc_png(result),
        "distractors.png": distractors_png(result),
        "roc.png": roc_png(result),
        "det.png": det_png(result),
    }


def cmc_png(result: MegafaceResult) -> bytes:
    """How many pairs reach each rank against the largest list; a PNG file."""
    size = result.protocols[0].cmc[-1].distractors
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: CMC, {size:,} distractors",
        "Rank",
        "Pairs that reach the rank",
    )
    for protocol in result.protocols:
        rates = protocol.cmc[-1].rates
        ranks = np.arange(1, len(rates) + 1)
        colour = _COLOURS[protocol.name]
        axes.plot(ranks, [rate.value for rate in rates], "o-", color=colour, label=protocol.name)
        _band(axes, ranks, rates, colour)
    axes.set_xticks(np.arange(1, len(result.protocols[0].cmc[-1].rates) + 1))
    percent_axis(axes)
    _end_at_all(axes)
    axes.legend(frameon=False)
    return png(figure)


def distractors_png(result: MegafaceResult) -> bytes:
    """Rank 1 over the number of distractors, with its intervals; a PNG file."""
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: rank 1",
        "Distractors",
        "Pairs that reach rank 1",
    )
    for protocol in result.protocols:
        colour = _COLOURS[protocol.name]
        sizes = np.array([entry.distractors for entry in protocol.cmc])
        rates = [entry.rates[0] for entry in protocol.cmc]
        axes.plot(sizes, [rate.value for rate in rates], "o-", color=colour, label=protocol.name)
        _band(axes, sizes, rates, colour)
    axes.set_xscale("log")
    percent_axis(axes)
    _end_at_all(axes)
    axes.legend(frameon=False)
    return png(figure)


def roc_png(result: MegafaceResult) -> bytes:
    """TAR over FAR (logarithmic), as far as the impostors are kept; a PNG file."""
    return _curve(result, "ROC", "True accept rate (TAR)", missed=False)


def det_png(result: MegafaceResult) -> bytes:
    """What is wrongly rejected over what is wrongly accepted, both logarithmic; a PNG file."""
    return _curve(result, "DET", "False reject rate (1 - TAR)", missed=True)


def _curve(result: MegafaceResult, name: str, vertical: str, *, missed: bool) -> bytes:
    figure, axes = canvas(
        f"{result.model.name} on {result.benchmark}: {name}", "False accept rate (FAR)", vertical
    )
    impostors = min(protocol.impostor_pairs for protocol in result.protocols)
    # Logarithmic axes have no 0: half a pair stands for none.
    edge, floor = 0.5 / impostors, 0.5 / result.genuine_pairs
    right = edge
    for protocol in result.protocols:
        far = np.maximum([point.far for point in protocol.roc], edge)
        tar = np.array([point.tar for point in protocol.roc])
        height = np.maximum(1 - tar, floor) if missed else tar
        right = max(right, float(far[-1]))
        colour = _COLOURS[protocol.name]
        axes.step(far, height, where="post", color=colour, linewidth=1.8, label=protocol.name)
        for point in protocol.points:
            value = max(1 - point.tar.value, floor) if missed else point.tar.value
            axes.plot(point.far, value, "o", color=INK, markersize=4, zorder=3)
    axes.set_xscale("log")
    # A little further, so that the mark of the largest FAR is seen whole.
    axes.set_xlim(edge, 1.3 * max(right, 2 * edge))
    if missed:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    percent_axis(axes)
    _end_at_all(axes)
    shade_few(axes, impostors, FEW)
    axes.legend(frameon=False)
    return png(figure)


def _band(
    axes: Axes, places: npt.NDArray[np.int64], rates: Sequence[Estimate], colour: str
) -> None:
    """Shade the intervals of `rates`, if there are any."""
    ends = [(rate.low, rate.high) for rate in rates]
    if all(low is not None and high is not None for low, high in ends):
        low, high = np.array(ends, np.float64).T
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)


def _end_at_all(axes: Axes) -> None:
    """End the vertical axis shortly above 100 %, where there is nothing more."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 1 + 0.02 * (1 - low)))
