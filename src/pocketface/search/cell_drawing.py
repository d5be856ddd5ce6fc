"""The drawing of a genotype's two cells: maps as boxes, primitives as labelled arrows.

The layout is ours: inputs at the left, the output at the right, and each node in the column behind
the maps that it reads. Each arrow ends at a place of its own at its node and carries its name
there, so that no two names can meet.
"""

import io
from pathlib import Path
from typing import Any, Literal

from pocketface import atomic
from pocketface.errors import RecipeError
from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, Edge, Genotype

_INK = "#222222"
_INPUT, _NODE, _OUTPUT = "#cfe8d5", "#cfe0f2", "#f4e3b5"
_COLOURS = {
    "max_pool_3x3": "#b3591a",
    "avg_pool_3x3": "#b3591a",
    "skip_connect": "#555555",
}
_CONVOLUTION = "#1f5a99"
_OUT = INPUTS + NODES
"""The index of the cell's output, behind all maps."""

_COLUMN, _ROW = 2.7, 1.25
"""Inches from a column to the next, and between two arrows' ends."""

_HALF_WIDTH, _HALF_HEIGHT = 0.42, 0.2
_GAP = 0.46
"""Inches between the two arrows that end at a node."""


def draw_cells(genotype: Genotype, path: Path) -> None:
    """Draw both cells to `path`, a PNG or an SVG by its ending.

    The same genotype gives the same bytes. Raises RecipeError for another ending.
    """
    ending = path.suffix.lower()
    if ending == ".png":
        content = cells_picture(genotype, "png")
    elif ending == ".svg":
        content = cells_picture(genotype, "svg")
    else:
        raise RecipeError(f"{path}: cells are drawn as .png or .svg. Choose one of these endings.")
    atomic.write_bytes(path, content)


def cells_picture(genotype: Genotype, kind: Literal["png", "svg"]) -> bytes:
    """The drawing of both cells as the content of a PNG or SVG file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [("Normal cell", genotype.normal), ("Reduction cell", genotype.reduce)]
    places = [_places(edges) for _, edges in drawn]
    width = max(max(x for x, _ in each.values()) for each in places) + 1.6
    heights = [2 * max(abs(y) for _, y in each.values()) + 1.5 for each in places]
    figure = Figure(figsize=(width, sum(heights)), dpi=150)
    FigureCanvasAgg(figure)
    bottom = 1.0
    for (title, edges), where, height in zip(drawn, places, heights, strict=True):
        part = height / sum(heights)
        bottom -= part
        axes = figure.add_axes((0, max(0, bottom), 1, part))
        # One unit is one inch, so that boxes and letters keep their sizes.
        axes.set_xlim(-0.8, width - 0.8)
        axes.set_ylim(-height / 2, height / 2)
        axes.set_axis_off()
        axes.text(-0.65, height / 2 - 0.28, title, fontsize=12, color=_INK, weight="bold")
        _draw_cell(axes, edges, where)
    buffer = io.BytesIO()
    # Neither the date nor random names: the same cells are the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "pocketface", "svg.fonttype": "path"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _layers(edges: tuple[Edge, ...]) -> dict[int, int]:
    """The column of each map: inputs at 0, a node behind the last of the maps that it reads."""
    layers = {0: 0, 1: 0}
    for node in range(NODES):
        read = edges[node * EDGES_PER_NODE : (node + 1) * EDGES_PER_NODE]
        layers[INPUTS + node] = 1 + max(layers[source] for _, source in read)
    layers[_OUT] = 1 + max(layers.values())
    return layers


def _places(edges: tuple[Edge, ...]) -> dict[int, tuple[float, float]]:
    """The middle of each map's box, in inches; the maps of a cell share no height.

    So that an arrow over several columns passes beside the nodes between its ends.
    """
    layers = _layers(edges)
    order = [0, *_heights(edges), 1]
    top = (len(order) - 1) / 2
    places = {
        index: (_COLUMN * layers[index], _ROW * (top - row)) for row, index in enumerate(order)
    }
    places[_OUT] = (_COLUMN * layers[_OUT], 0.0)
    return places


def _heights(edges: tuple[Edge, ...]) -> list[int]:
    """The nodes from top to bottom in the order with the shortest, straightest arrows."""
    from itertools import permutations

    def cost(order: tuple[int, ...]) -> float:
        row: dict[int, int] = {index: place for place, index in enumerate((0, *order, 1))}
        return sum(
            (row[source] - row[INPUTS + place // EDGES_PER_NODE]) ** 2
            for place, (_, source) in enumerate(edges)
        )

    best: tuple[int, ...] = min(permutations(range(INPUTS, _OUT)), key=cost)
    return list(best)


def _draw_cell(axes: Any, edges: tuple[Edge, ...], places: dict[int, tuple[float, float]]) -> None:
    for node in range(NODES):
        index = INPUTS + node
        x, y = places[index]
        pair = edges[node * EDGES_PER_NODE : (node + 1) * EDGES_PER_NODE]
        # The arrow from the higher map ends at the higher place, so that the two do not cross.
        from_top = sorted(pair, key=lambda edge: -places[edge[1]][1])
        for (primitive, source), shift in zip(from_top, (_GAP / 2, -_GAP / 2), strict=True):
            colour = _COLOURS.get(primitive, _CONVOLUTION)
            _arrow(axes, places[source], (x, y), shift, colour)
            axes.text(
                x - _HALF_WIDTH - 0.2,
                y + shift + 0.03,
                primitive,
                fontsize=9,
                color=colour,
                ha="right",
                va="bottom",
                zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            )
        _arrow(axes, (x, y), places[_OUT], 0.0, "#aaaaaa")
    labels = {0: r"$c_{k-2}$", 1: r"$c_{k-1}$", _OUT: r"$c_k$"}
    for index, (x, y) in places.items():
        fill = _INPUT if index < INPUTS else _OUTPUT if index == _OUT else _NODE
        _box(axes, x, y, labels.get(index, str(index - INPUTS)), fill)


def _box(axes: Any, x: float, y: float, label: str, fill: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x - _HALF_WIDTH, y - _HALF_HEIGHT - 0.09),
            2 * _HALF_WIDTH,
            2 * _HALF_HEIGHT + 0.18,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=fill,
            edgecolor=_INK,
            linewidth=0.9,
            zorder=5,
        )
    )
    axes.text(x, y - 0.01, label, fontsize=13, color=_INK, ha="center", va="center", zorder=6)


def _arrow(
    axes: Any,
    begin: tuple[float, float],
    end: tuple[float, float],
    shift: float,
    colour: str,
) -> None:
    """From the right of a box, by a smooth curve, level along the place of its name to the end."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    x0, y0 = begin[0] + _HALF_WIDTH, begin[1]
    x1, y1 = end[0] - _HALF_WIDTH, end[1] + shift
    level = x1 - (1.35 if shift else 0.25)
    # Arrows fan out at once, over the first column, and go on level.
    turn = min(level, x0 + 0.75)
    bend = (turn - x0) * 0.6
    points = [(x0, y0), (x0 + bend, y0), (turn - bend, y1), (turn, y1), (x1, y1)]
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4, Curve.LINETO]
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(points, codes),
            arrowstyle="-|>,head_length=5,head_width=2.5",
            shrinkA=0,
            shrinkB=0,
            color=colour,
            linewidth=1.1,
            zorder=2,
        )
    )
