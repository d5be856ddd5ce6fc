"""The pictures of a profile: the spread of latencies, and where a network's time goes."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pocketface.benchmarks.canvas import FAINT, GENUINE, IMPOSTOR, INK, png
from pocketface.profile.layers import Layers, parts_by
from pocketface.profile.result import Measurement, Profile
from pocketface.profile.text import layers_sentence, share, short

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#6a51a3")
_REST = "#9a9a9a"
_ROW = 0.34
"""Inches that a row takes."""

_WIDE = 12.0
"""From this ratio of the slowest to the fastest on, the axis of latencies is logarithmic."""

_FEWEST = 24
"""More blocks than so many are drawn closer together."""


def latency_png(result: Profile) -> bytes | None:
    """A row for every measurement: median, middle half, 5 % to 95 %, minimum; None for none."""
    rows = [(model.name, measured) for model in result.models for measured in model.measurements]
    if not rows:
        return None
    figure = Figure(figsize=(9.2, 1.3 + _ROW * len(rows)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (_, measured) in enumerate(rows):
        _draw_latency(axes, place, measured)
    several = len(result.models) > 1
    axes.set_yticks(
        range(len(rows)),
        [f"{name}, {each.title}" if several else each.title for name, each in rows],
    )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    spread = max(each.latency.p95 for _, each in rows) / min(
        each.latency.minimum for _, each in rows
    )
    if spread > _WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(
        "ms an image. Line: 5 % to 95 % of runs; bar: middle half; tick: median; "
        "ring: fastest; cross: processor",
        color=INK,
        fontsize=9,
    )
    axes.set_title("Latency" if several else f"{rows[0][0]}: latency", fontsize=11, loc="left")
    _plain(axes)
    return png(figure)


def _draw_latency(axes: Axes, place: int, measured: Measurement) -> None:
    latency = measured.latency
    colour = GENUINE if latency.settled else _REST
    axes.plot([latency.p5, latency.p95], [place] * 2, color=colour, linewidth=1.2)
    axes.plot(
        [latency.p25, latency.p75], [place] * 2, color=colour, linewidth=7, alpha=0.45,
        solid_capstyle="butt",
    )  # fmt: skip
    axes.plot(latency.median, place, "|", color=INK, markersize=15, markeredgewidth=2)
    axes.plot(latency.minimum, place, "o", color=colour, markersize=4, markerfacecolor="white")
    axes.plot(latency.cpu, place, "x", color=IMPOSTOR, markersize=5)
    axes.annotate(
        f" {short(latency.median)}", (latency.p95, place), xytext=(5, 0),
        textcoords="offset points", va="center", fontsize=8.5, color=INK,
    )  # fmt: skip


def layers_png(name: str, layers: Layers) -> bytes:
    """Left the time of each block in the network's order, by kind; right the kinds together."""
    kinds = parts_by(layers, "kind")
    colours = {
        part.name: _COLOURS[place] if place < len(_COLOURS) else _REST
        for place, part in enumerate(kinds)
    }
    blocks = parts_by(layers, "block", ordered=True)
    row = _ROW if len(blocks) <= _FEWEST else 0.2
    height = max(3.2, 1.2 + row * len(blocks), 1.2 + _ROW * len(kinds))
    figure = Figure(figsize=(11, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_blocks(left, layers, [part.name for part in blocks], colours)
    for place, part in enumerate(kinds):
        right.barh(place, part.microseconds, color=colours[part.name], height=0.66)
        arithmetic = f", {share(part.macs, layers.macs)} of MACs" if part.macs else ""
        right.annotate(
            f" {share(part.microseconds, layers.microseconds)}{arithmetic}",
            (part.microseconds, place), va="center", fontsize=8.5, color=INK,
        )  # fmt: skip
    right.set_yticks(range(len(kinds)), [part.name for part in kinds])
    right.set_ylim(len(kinds) - 0.4, -0.6)
    right.set_xlim(0, 1.8 * max(part.microseconds for part in kinds))
    right.set_title("by kind: part of the time", fontsize=10, loc="left")
    left.set_title(f"{name}: time of each block", fontsize=10, loc="left")
    for axes in (left, right):
        axes.set_xlabel("microseconds", color=INK)
        _plain(axes)
    figure.supxlabel(layers_sentence(layers), fontsize=8.5, color="#555555", x=0.01, ha="left")
    return png(figure)


def _draw_blocks(
    axes: Axes, layers: Layers, blocks: Sequence[str], colours: dict[str, str]
) -> None:
    for place, block in enumerate(blocks):
        start = 0.0
        for kind, colour in colours.items():
            length = sum(
                node.microseconds
                for node in layers.nodes
                if node.block == block and node.kind == kind
            )
            axes.barh(place, length, left=start, color=colour, height=0.72)
            start += length
    axes.set_yticks(range(len(blocks)), blocks)
    axes.set_ylim(len(blocks) - 0.4, -0.6)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
