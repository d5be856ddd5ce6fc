"""How all pictures of reports look: one canvas, its colours, its axes, and the PNG file."""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

GENUINE = "#0072b2"
IMPOSTOR = "#d55e00"
THIRD = "#009e73"
INK = "#222222"
FAINT = "#dddddd"
_SIZE = (6.4, 4.2)
_DPI = 150


def canvas(title: str, horizontal: str, vertical: str) -> tuple[Figure, Axes]:
    """An empty picture with a title and the names of its axes."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(horizontal, color=INK)
    axes.set_ylabel(vertical, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def percent_axis(axes: Axes) -> None:
    """Write the vertical axis' fractions in per cent."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def shade_few(axes: Axes, impostors: int, few: int, what: str = "pairs of two people pass") -> None:
    """Shade the FARs, on the horizontal axis, at which fewer than `few` impostor pairs pass.

    `what` says what there are fewer than `few` of.
    """
    left, right = axes.get_xlim()
    end = min(few / impostors, right)
    if end <= left:
        return
    axes.axvspan(left, end, color="#f3f0e6", zorder=0)
    axes.text(
        left,
        0.01,
        f" fewer than {few} {what}",
        transform=axes.get_xaxis_transform(),
        fontsize=7.5,
        color="#857a55",
        va="bottom",
    )
    axes.set_xlim(left, right)


def png(figure: Figure) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
