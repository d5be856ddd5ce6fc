"""The picture of a comparison: each seed's figure, and each difference with its interval."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pocketface.benchmarks.canvas import FAINT, GENUINE, IMPOSTOR, INK, THIRD, png
from pocketface.compare.findings import DifferenceFound, Findings, MeanFound
from pocketface.compare.seeds import FEWEST
from pocketface.compare.text import figure_name

_GREY = "#9a9a9a"
_BAND = "#f0eee6"
_COLOURS = {
    "higher": THIRD,
    "lower": IMPOSTOR,
    "these people only": "#b8860b",
    "noise": _GREY,
    "too few seeds": _GREY,
}
_ROW = 0.46
"""Inches that an arm takes."""

_WIDEST = 30
"""Letters in a line of an arm's title."""

_LEGEND = (
    "Circles: seeds; bars: their means; band: 95 % of the baseline's mean over seeds. "
    "Right, thick: 95 % over seeds, thin: 95 % over people. Grey: noise, or too few seeds."
)


def comparison_png(findings: Findings) -> bytes | None:
    """Left the figures, right the differences from the baseline, a row of two for each benchmark.

    None while no arm is measured. Noise is grey.
    """
    measured = [name for name in findings.benchmarks if _means(findings, name)]
    if not measured:
        return None
    heights = [len(_means(findings, name)) for name in measured]
    figure = Figure(
        figsize=(11, 0.3 + sum(1.25 + _ROW * height for height in heights)),
        dpi=130,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    figure.supxlabel(_LEGEND, fontsize=8.5, color="#555555", x=0.01, ha="left")
    grid = figure.add_gridspec(
        len(measured), 2, height_ratios=[1.25 + _ROW * height for height in heights]
    )
    for row, name in enumerate(measured):
        left, right = figure.add_subplot(grid[row, 0]), figure.add_subplot(grid[row, 1])
        means = _means(findings, name)
        _draw_figures(left, findings, name, means)
        _draw_differences(right, findings, name, means)
        for axes in (left, right):
            axes.set_ylim(len(means) - 0.45, -0.55)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x", color=FAINT, linewidth=0.6)
            axes.set_axisbelow(True)
    return png(figure)


def _means(findings: Findings, benchmark: str) -> list[MeanFound]:
    return [mean for mean in findings.means if mean.benchmark == benchmark]


def _draw_figures(axes: Axes, findings: Findings, benchmark: str, means: list[MeanFound]) -> None:
    values = {
        mean.arm: [
            100 * run.figures[benchmark].value
            for run in findings.runs
            if run.arm == mean.arm and benchmark in run.figures
        ]
        for mean in means
    }
    verdicts = _verdicts(findings, benchmark)
    for place, mean in enumerate(means):
        colour = _colour(findings, verdicts.get(mean.arm), mean.arm)
        axes.plot(
            values[mean.arm], [place] * len(values[mean.arm]), "o", color=colour, markersize=6,
            markerfacecolor="none", markeredgewidth=1.3,
        )  # fmt: skip
        axes.plot(100 * mean.mean, place, "|", color=colour, markersize=20, markeredgewidth=2.2)
        known = mean.low is not None and mean.high is not None and len(mean.seeds) >= FEWEST
        if mean.arm == findings.baseline and known:
            axes.axvspan(100 * (mean.low or 0), 100 * (mean.high or 0), color=_BAND, zorder=0)
    shown = [value for each in values.values() for value in each]
    low, high = min(shown), max(shown)
    margin = 0.12 * max(high - low, 0.2)
    axes.set_xlim(low - margin, high + margin)
    _mark_besides(axes, findings, benchmark)
    titles = [textwrap.fill(findings.title_of(mean.arm), _WIDEST) for mean in means]
    axes.set_yticks(range(len(means)), titles)
    axes.set_xlabel(f"{figure_name(findings, benchmark)}, %", color=INK)
    axes.set_title(benchmark, fontsize=11, loc="left")


def _mark_besides(axes: Axes, findings: Findings, benchmark: str) -> None:
    """Lines for what is not an arm; what lies off the axis is told below it, not drawn."""
    besides = {
        name: figures[benchmark].value
        for name, figures in findings.fixed.items()
        if benchmark in figures
    }
    for run in findings.runs:
        if run.prepared and benchmark in run.figures:
            besides[findings.title_of(run.arm)] = run.figures[benchmark].value
    left, right = axes.get_xlim()
    outside = []
    for name, value in besides.items():
        if left < 100 * value < right:
            axes.axvline(100 * value, color=_GREY, linewidth=1, linestyle=":")
            axes.annotate(
                f" {name}", (100 * value, 0), xycoords=("data", "axes fraction"), fontsize=7.5,
                color="#666666", rotation=90, va="bottom", ha="right",
            )  # fmt: skip
        else:
            outside.append(f"{name} {100 * value:.2f} %")
    if outside:
        told = textwrap.fill(f"off this scale: {', '.join(outside)}", 2 * _WIDEST)
        axes.annotate(
            told, (0, 0), xycoords="axes fraction",
            xytext=(0, -38), textcoords="offset points", fontsize=8, color="#666666", va="top",
        )  # fmt: skip


def _draw_differences(
    axes: Axes, findings: Findings, benchmark: str, means: list[MeanFound]
) -> None:
    differences = {d.arm: d for d in findings.differences if d.benchmark == benchmark}
    axes.axvline(0, color=INK, linewidth=1.1)
    for place, mean in enumerate(means):
        difference = differences.get(mean.arm)
        if difference is not None:
            _draw_difference(axes, place, difference)
    axes.set_yticks(range(len(means)), [_label(findings, differences, mean) for mean in means])
    axes.yaxis.tick_right()
    for label, mean in zip(axes.get_yticklabels(), means, strict=True):
        label.set_color(_colour(findings, _verdicts(findings, benchmark).get(mean.arm), mean.arm))
    reach = max((abs(edge) for edge in axes.get_xlim()), default=1)
    if not differences:
        axes.set_xlim(-1, 1)
    elif reach > 0:
        axes.set_xlim(min(axes.get_xlim()[0], -0.1 * reach), max(axes.get_xlim()[1], 0.1 * reach))
    axes.set_xlabel("difference, points", color=INK)
    title = f"difference from {findings.title_of(findings.baseline)}"
    axes.set_title(
        textwrap.shorten(title, 2 * _WIDEST, placeholder=" ..."), fontsize=11, loc="left"
    )


def _draw_difference(axes: Axes, place: int, difference: DifferenceFound) -> None:
    colour = _COLOURS[difference.verdict]
    if (
        difference.low is not None
        and difference.high is not None
        and len(difference.seeds) >= FEWEST
    ):
        ends = [100 * difference.low, 100 * difference.high]
        axes.plot(ends, [place] * 2, color=colour, linewidth=3.2, solid_capstyle="butt")
    if difference.people_low is not None and difference.people_high is not None:
        ends = [100 * difference.people_low, 100 * difference.people_high]
        axes.plot(ends, [place + 0.17] * 2, color=colour, linewidth=1)
    each = [100 * value for value in difference.differences]
    axes.plot(
        each, [place] * len(each), "o", color=colour, markersize=5, markerfacecolor="white",
        markeredgewidth=1.1,
    )  # fmt: skip
    axes.plot(100 * difference.mean, place, "|", color=colour, markersize=18, markeredgewidth=2.2)


def _label(findings: Findings, differences: dict[str, DifferenceFound], mean: MeanFound) -> str:
    if mean.arm == findings.baseline:
        return "baseline"
    difference = differences.get(mean.arm)
    if difference is None:
        return "no common seed yet"
    return f"{100 * difference.mean:+.2f}  {difference.verdict}"


def _verdicts(findings: Findings, benchmark: str) -> dict[str, str]:
    return {d.arm: d.verdict for d in findings.differences if d.benchmark == benchmark}


def _colour(findings: Findings, verdict: str | None, arm: str) -> str:
    if arm == findings.baseline:
        return GENUINE
    return INK if verdict is None else _COLOURS[verdict]
