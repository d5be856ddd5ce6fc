"""The trade-off as a picture: accuracy against MFLOPs, parameters, latency and bytes."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pocketface.benchmarks.canvas import FAINT, GENUINE, INK, png
from pocketface.profile.name_places import Box, place_names
from pocketface.profile.tradeoff import Point, Tradeoff

_Placed = tuple[float, Point]
"""A cost and the network that has it."""

_PAPER = "#8a8a8a"
_RADIUS = 4.0
"""Of a mark, in points."""


def tradeoff_png(tradeoff: Tradeoff) -> bytes:
    """A panel for each cost that any network has; filled: measured here, hollow: published."""
    panels: list[tuple[str, Callable[[Point], float | None]]] = [
        ("MFLOPs, as the papers count", lambda point: point.mflops),
        ("parameters, millions", lambda point: point.parameters_m),
        (f"ms an image here: {tradeoff.timing}", lambda point: point.latency),
        ("ONNX file, MB", lambda point: point.megabytes),
    ]
    drawn: list[tuple[str, list[_Placed]]] = []
    for label, cost_of in panels:
        costs = [(cost_of(point), point) for point in tradeoff.points]
        placed = [(cost, point) for cost, point in costs if cost is not None]
        if placed:
            drawn.append((label, placed))
    rows = (len(drawn) + 1) // 2
    figure = Figure(figsize=(11, 0.5 + 4.1 * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{tradeoff.column} against cost", x=0.01, ha="left", fontsize=12)
    figure.supxlabel(
        "Filled: accuracy measured here (line: 95 %). Hollow: as published, trained on other data. "
        "MFLOPs: own networks by the PocketNet paper's rules, foreign files 2 x MACs.",
        fontsize=8.5,
        color="#555555",
        x=0.01,
        ha="left",
    )
    panes = [
        (figure.add_subplot(rows, min(2, len(drawn)), number + 1), points)
        for number, (_, points) in enumerate(drawn)
    ]
    for (axes, points), (label, _) in zip(panes, drawn, strict=True):
        _draw(axes, label, points, tradeoff.column, _limits(tradeoff.points))
    # Names are placed last, when it is known where everything else lies.
    figure.draw_without_rendering()
    for axes, points in panes:
        _name(axes, points)
    return png(figure)


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    """Of the accuracies with their intervals, and some room; the same for all panels."""
    ends = [end for p in points for end in (p.accuracy, p.low, p.high) if end is not None]
    margin = max(0.1 * (max(ends) - min(ends)), 0.1)
    return min(ends) - margin, max(ends) + margin


def _draw(
    axes: Axes, label: str, points: Sequence[_Placed], column: str, limits: tuple[float, float]
) -> None:
    for cost, point in points:
        if point.low is not None and point.high is not None:
            axes.plot([cost] * 2, [point.low, point.high], color=GENUINE, linewidth=1.2, alpha=0.6)
        axes.plot(
            cost, point.accuracy, "o" if point.measured else "D",
            color=GENUINE if point.measured else _PAPER,
            markersize=8 if point.measured else 6,
            markerfacecolor=GENUINE if point.measured else "white",
        )  # fmt: skip
    costs = [cost for cost, _ in points]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 2, max(costs) * 2.6)  # names want room
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*limits)
    axes.set_xlabel(label, color=INK)
    axes.set_ylabel(f"{column}, %", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _name(axes: Axes, points: Sequence[_Placed]) -> None:
    """Write each name beside its point."""
    scale = 72 / axes.figure.dpi  # points in a pixel
    texts = [
        axes.annotate(
            point.name, (cost, point.accuracy), textcoords="offset points", xytext=(0, 0),
            fontsize=8 if point.measured else 7, color=INK if point.measured else "#666666",
        )
        for cost, point in points
    ]  # fmt: skip

    def at(cost: float, height: float) -> tuple[float, float]:
        x, y = axes.transData.transform((cost, height))
        return scale * float(x), scale * float(y)

    sizes = [
        (scale * box.width, scale * box.height) for box in (t.get_window_extent() for t in texts)
    ]
    intervals = [
        (at(cost, point.low), at(cost, point.high))
        for cost, point in points
        if point.low is not None and point.high is not None
    ]
    places = place_names(
        [at(cost, point.accuracy) for cost, point in points],
        sizes,
        Box(*(scale * side for side in axes.get_window_extent().extents)),
        _RADIUS,
        [Box(x - 0.5, low, x + 0.5, high) for (x, low), (_, high) in intervals],
    )
    for text, place in zip(texts, places, strict=True):
        text.set_position((place.right, place.up))
        text.set(horizontalalignment=place.horizontal, verticalalignment=place.vertical)
