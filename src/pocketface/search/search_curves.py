"""The curves of a search: losses, accuracy on both halves, and the signs of collapse."""

import io
import math
from typing import Any

from pocketface.search.mixed import SEARCH_PRIMITIVES

_PANELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("loss", {"loss": "weights' half", "architecture_loss": "architecture's half"}),
    (
        "top-1 accuracy",
        {"top1/weights": "weights' half", "top1/architecture": "architecture's half"},
    ),
    (
        "entropy of an edge's primitives (nats)",
        {"entropy/normal": "normal cell", "entropy/reduce": "reduction cell"},
    ),
    (
        "edges that skip or pool, of 8",
        {
            "skips/normal": "skips, normal cell",
            "skips/reduce": "skips, reduction cell",
            "pools/normal": "pools, normal cell",
            "pools/reduce": "pools, reduction cell",
        },
    ),
    ("dominant eigenvalue", {"eigenvalue": "eigenvalue"}),
    ("multiply-accumulates of the cells' network", {"macs": "macs"}),
)
"""A panel's title, and its metrics with their names."""


def search_curves(rows: list[dict[str, Any]], chosen: int, people: int) -> bytes:
    """Draw the curves of a search's metrics over its epochs; a PNG.

    The architecture's loss is what its weights follow: with beta-decay and the expected cost above
    a budget, where there are such.

    Args:
        rows: of `metrics.jsonl`.
        chosen: the epoch that the cells are taken from, drawn as a line.
        people: how many there are; chance is drawn with the accuracies.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

    figure = Figure(figsize=(12.5, 6.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, lines) in enumerate(_PANELS, 1):
        axes = figure.add_subplot(2, 3, place)
        axes.set_title(title, fontsize=10)
        for number, (name, label) in enumerate(lines.items()):
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if not points:
                continue
            # Of four lines, two cells in two colours: the second cell's are dashed.
            four = len(lines) == 4
            axes.plot(
                *zip(*points, strict=True),
                label=label,
                color=f"C{number // 2 if four else number}",
                linestyle="--" if four and number % 2 else "-",
                marker="" if "loss" in name else ".",
            )
        if title.startswith("top-1"):
            axes.axhline(1 / people, color="0.5", linewidth=0.9, linestyle=":", label="chance")
            axes.set_ylim(bottom=0)
        elif title.startswith("entropy"):
            most = math.log(len(SEARCH_PRIMITIVES))
            axes.axhline(most, color="0.5", linewidth=0.9, linestyle=":", label="all alike")
        elif title.startswith("edges"):
            axes.set_ylim(-0.3, 8.3)
        elif title.startswith("multiply"):
            axes.yaxis.set_major_formatter(EngFormatter())
        axes.axvline(chosen, color="0.75", linewidth=1.2, zorder=0)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(fontsize=8)
    figure.supxlabel(f"The grey line: epoch {chosen}, from which the cells are taken", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
