"""The film strip of a search: how strongly each primitive counted on each edge, over the epochs."""

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pocketface.models.genotype import EDGES_PER_NODE, INPUTS, NODES, Edge
from pocketface.search.architecture import EDGES, edge_index
from pocketface.search.discretise import discretise
from pocketface.search.mixed import SEARCH_PRIMITIVES

FRAMES = 8
"""The most frames in a strip; with more epochs, frames are spread evenly over them."""

_ALIKE = math.log2(len(SEARCH_PRIMITIVES))
_LEAST = 0.01
"""Half the range of colours at least, as a logarithm to base 2: what is less is not to be seen."""

Alphas = npt.NDArray[np.float32]

_NAMES = (r"$c_{k-2}$", r"$c_{k-1}$", *(str(node) for node in range(NODES)))


def film_strip(normal: Alphas, reduce: Alphas, chosen: int) -> bytes:
    """Draw the shares of the primitives at moments of the search; a PNG.

    A frame is an epoch: a row for each edge, a column for each primitive. Blue is a larger share
    (of the softmax of the edge's weights) than if all primitives counted alike, red a smaller one,
    on one logarithmic scale for the whole strip. Dots are the edges that the cells of that epoch
    keep, without a budget. The first row of frames is the normal cell, the second the reduction
    cell.

    Args:
        normal: (epochs + 1, 14, 8), raw weights at the start and after each epoch.
        reduce: the same of the reduction cell.
        chosen: the epoch that the cells are taken from; its frame is always there, and marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    moments = frames_of(len(normal), chosen)
    ratios = {
        title: torch.from_numpy(weights).log_softmax(dim=2).numpy() / math.log(2) + _ALIKE
        for title, weights in (("Normal cell", normal), ("Reduction cell", reduce))
    }
    reach = max(_LEAST, *(float(np.abs(ratio[moments]).max()) for ratio in ratios.values()))
    figure = Figure(figsize=(1.9 + 1.5 * len(moments), 8.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(ratios), len(moments), sharex=True, sharey=True, squeeze=False)
    picture: Any = None
    for row, (title, ratio) in enumerate(ratios.items()):
        for column, epoch in enumerate(moments):
            axes = grid[row, column]
            picture = axes.imshow(ratio[epoch], cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
            cells = discretise(torch.from_numpy(normal[epoch]), torch.from_numpy(reduce[epoch]))
            kept = cells.reduce if row else cells.normal
            places = [_place(place, edge) for place, edge in enumerate(kept)]
            axes.plot(*zip(*places, strict=True), "o", color="black", markersize=3.4)
            _frame(axes, epoch, marked=epoch == chosen)
        grid[row, 0].set_ylabel(f"{title}: edges", fontsize=10)
    bar = figure.colorbar(picture, ax=grid, shrink=0.5, pad=0.01)
    bar.set_label("share of the primitive, times that of an equal share; dots: kept", fontsize=9)
    ticks = [-reach, -reach / 2, 0.0, reach / 2, reach]
    bar.set_ticks(ticks, labels=[f"{2**tick:.3g}" for tick in ticks])
    bar.ax.tick_params(labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def frames_of(moments: int, chosen: int) -> list[int]:
    """Which of so many moments are drawn: the first, the last, `chosen`, the others evenly."""
    if moments <= FRAMES:
        return list(range(moments))
    spread = np.linspace(0, moments - 1, FRAMES).round().astype(int).tolist()
    if chosen not in spread:
        inner = spread[1:-1]
        spread[1 + min(range(len(inner)), key=lambda i: abs(inner[i] - chosen))] = chosen
    return sorted(spread)


def _place(place: int, edge: Edge) -> tuple[int, int]:
    """Column and row of an edge of a genotype."""
    primitive, source = edge
    return SEARCH_PRIMITIVES.index(primitive), edge_index(place // EDGES_PER_NODE, source)


def _frame(axes: Any, epoch: int, *, marked: bool) -> None:
    title = "start" if epoch == 0 else f"epoch {epoch}"
    axes.set_title(
        title + (" (chosen)" if marked else ""),
        fontsize=9,
        weight="bold" if marked else "normal",
    )
    labels = [
        f"{_NAMES[source]} to {node}" for node in range(NODES) for source in range(INPUTS + node)
    ]
    axes.set_yticks(range(EDGES), labels, fontsize=8)
    axes.set_xticks(range(len(SEARCH_PRIMITIVES)), SEARCH_PRIMITIVES, fontsize=8, rotation=90)
    axes.tick_params(length=2)
    for node in range(1, NODES):
        axes.axhline(edge_index(node, 0) - 0.5, color="0.6", linewidth=0.8)
