"""The papers' trade-off picture: accuracy against parameters and against arithmetic."""

import io
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter


@dataclass(frozen=True)
class Measured:
    """A network's cost, and its accuracy by the name of the set (fractions)."""

    name: str
    parameters: int
    macs: int
    accuracy: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean accuracy over the sets."""
        return sum(self.accuracy.values()) / len(self.accuracy)


def tradeoff_png(networks: list[Measured], pixels: dict[str, float]) -> bytes:
    """Mean accuracy over the sets against parameters and MACs, raw pixels as a line; a PNG."""
    figure = Figure(figsize=(8.4, 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    floor = 100 * sum(pixels.values()) / len(pixels)
    panels = (("parameters", "parameters"), ("macs", "multiply-accumulates per face"))
    for place, (attribute, label) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 2, place)
        for number, network in enumerate(networks):
            cost, height = getattr(network, attribute), 100 * network.mean
            axes.plot(cost, height, "o", markersize=9, color=f"C{number}")
            axes.annotate(
                f"{network.name}\n{height:.1f} %",
                (cost, height),
                xytext=(0, -12),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=8.5,
            )
        axes.axhline(floor, color="0.55", linewidth=1, linestyle="--")
        axes.text(
            0.98,
            floor - 0.9,
            f"raw pixels {floor:.1f} %",
            fontsize=8.5,
            color="0.35",
            ha="right",
            va="top",
            transform=axes.get_yaxis_transform(),
        )
        costs = [getattr(network, attribute) for network in networks]
        axes.set_xscale("log")
        axes.set_xlim(min(costs) / 2.5, max(costs) * 2.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.xaxis.set_minor_formatter(NullFormatter())
        lowest = min([floor, *(100 * network.mean for network in networks)])
        axes.set_ylim(lowest - 8, 101)
        axes.set_xlabel(label)
        axes.set_ylabel("mean accuracy over the sets, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#dddddd", linewidth=0.6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def roc_overlay_png(results: dict[str, list[tuple[float, float]]], title: str) -> bytes:
    """One network's ROC curves, (FAR, TAR) points by the name of the set; a PNG."""
    figure = Figure(figsize=(5.2, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edge = 1e-3
    for name, points in results.items():
        far = [max(point[0], edge) for point in points]
        axes.step(far, [100 * point[1] for point in points], where="post", label=name)
    axes.set_xscale("log")
    axes.set_xlim(edge, 1)
    axes.set_xlabel("False accept rate (FAR)")
    axes.set_ylabel("True accept rate (TAR), %")
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
