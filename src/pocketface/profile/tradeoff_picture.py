"""The trade-off as a picture: accuracy against MFLOPs, parameters, latency and bytes."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from pocketface.benchmarks.canvas import FAINT, GENUINE, INK, png
from pocketface.profile.tradeoff import Point, Tradeoff

_Placed = tuple[float, Point]
"""A cost and the network that has it."""

_PAPER = "#8a8a8a"
_SIDES = (
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (6, 6, "left", "bottom"),
    (6, -6, "left", "top"),
    (-6, 6, "right", "bottom"),
    (-6, -6, "right", "top"),
    (6, 14, "left", "bottom"),
    (6, -14, "left", "top"),
    (-6, 14, "right", "bottom"),
    (-6, -14, "right", "top"),
)
"""Where a name may stand beside its point, in points, the best place first."""


def tradeoff_png(tradeoff: Tradeoff) -> bytes:
    """A panel for each cost that any network has; filled: measured here, hollow: published."""
    panels: list[tuple[str, Callable[[Point], float | None]]] = [
        ("MFLOPs (published ones as their papers count)", lambda point: point.mflops),
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
        "Filled: accuracy measured here (line: 95 %). Hollow: accuracy as published, on other "
        "training data and machines.",
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
        _draw(axes, label, points, tradeoff.column)
    # Names are placed last, when it is known where everything else lies.
    figure.draw_without_rendering()
    for axes, points in panes:
        _name(axes, points)
    return png(figure)


def _draw(axes: Axes, label: str, points: Sequence[_Placed], column: str) -> None:
    for cost, point in points:
        if point.low is not None and point.high is not None:
            axes.plot([cost] * 2, [point.low, point.high], color=GENUINE, linewidth=1.2, alpha=0.6)
        axes.plot(
            cost, point.accuracy, "o" if point.measured else "D",
            color=GENUINE if point.measured else _PAPER,
            markersize=8 if point.measured else 6,
            markerfacecolor=GENUINE if point.measured else "white",
        )  # fmt: skip
    costs, heights = [cost for cost, _ in points], [point.accuracy for _, point in points]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.9, max(costs) * 1.9)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    margin = max(0.16 * (max(heights) - min(heights)), 0.1)
    axes.set_ylim(min(heights) - margin, max(heights) + margin)
    axes.set_xlabel(label, color=INK)
    axes.set_ylabel(f"{column}, %", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _name(axes: Axes, points: Sequence[_Placed]) -> None:
    """Write each name beside its point, where it covers neither points nor names if that can be."""
    frame = axes.get_window_extent()
    covered = [
        Bbox.from_bounds(x - 6, y - 6, 12, 12)
        for x, y in (axes.transData.transform((cost, point.accuracy)) for cost, point in points)
    ]
    # One's own first: they get the best places.
    for cost, point in sorted(points, key=lambda entry: not entry[1].measured):
        best: tuple[float, Bbox] | None = None
        chosen = None
        for right, up, horizontal, vertical in _SIDES:
            text = axes.annotate(
                point.name, (cost, point.accuracy), xytext=(right, up), textcoords="offset points",
                ha=horizontal, va=vertical, fontsize=8 if point.measured else 7,
                color=INK if point.measured else "#666666",
            )  # fmt: skip
            box = text.get_window_extent()
            harm = sum(_overlap(box, other) for other in covered) + 3 * _outside(box, frame)
            if best is None or harm < best[0]:
                if chosen is not None:
                    chosen.remove()
                best, chosen = (harm, box), text
            else:
                text.remove()
            if harm == 0:
                break
        assert best is not None
        covered.append(best[1])


def _overlap(first: Bbox, second: Bbox) -> float:
    """The area that two boxes share, in square pixels."""
    shared = Bbox.intersection(first, second)
    return 0.0 if shared is None else float(shared.width * shared.height)


def _outside(box: Bbox, frame: Bbox) -> float:
    """The area of `box` that lies outside `frame`."""
    return float(box.width * box.height) - _overlap(box, frame)
