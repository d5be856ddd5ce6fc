"""How the arms learnt: what their logs hold, one colour an arm, one line a seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pocketface.benchmarks.canvas import FAINT, png
from pocketface.compare.findings import Findings
from pocketface.compare.plan import PlannedRun
from pocketface.train.log import METRICS, read_metrics

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#444444")
_LEFT_OUT = ("learning_rate", "images_per_second", "loader_wait", "gradient_norm", "epoch", "step")
_MOST_PANELS = 6
_SMOOTH = 200
"""Points that a line is averaged down to."""


def curves_png(findings: Findings, planned: Sequence[PlannedRun]) -> bytes | None:
    """A panel for each quantity in the logs of the arms; None before there is any."""
    logs = {
        run.folder: read_metrics(run.folder)
        for run in planned
        if not run.prepared and (run.folder / METRICS).is_file()
    }
    names = _names(logs)[:_MOST_PANELS]
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.9 * columns, 3.1 * rows + 0.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    arms = [arm.arm for arm in findings.arms if not arm.prepared]
    lines: dict[str, Any] = {}
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, columns, place)
        for run in planned:
            points = _points(logs.get(run.folder, []), name)
            if not points:
                continue
            (line,) = axes.plot(
                *zip(*points, strict=True),
                color=_COLOURS[arms.index(run.arm) % len(_COLOURS)],
                linestyle=("-", "--", ":")[arms.index(run.arm) // len(_COLOURS) % 3],
                linewidth=1,
                alpha=0.8,
            )
            lines.setdefault(run.arm, line)
        axes.set_title(_title(name), fontsize=10, loc="left")
        axes.set_xlabel("epoch")
        axes.grid(color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    learnt = [arm for arm in arms if arm in lines]
    figure.legend(
        [lines[arm] for arm in learnt],
        [findings.title_of(arm) for arm in learnt],
        loc="outside lower center",
        ncols=3,
        fontsize=10,
        frameon=False,
    )
    return png(figure)


def _names(logs: Mapping[Path, list[dict[str, Any]]]) -> list[str]:
    """What the logs hold, in the order in which it tells most; the sum of all terms at the end."""
    found = {name for rows in logs.values() for row in rows for name in row} - set(_LEFT_OUT)
    return sorted(found, key=lambda name: (_rank(name), name))


def _rank(name: str) -> int:
    order = ("accuracy/", "cosine", "loss/")
    ranks = [place for place, start in enumerate(order) if name.startswith(start)]
    return ranks[0] if ranks else len(order) + (name == "loss")


def _points(rows: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """(epoch, value), averaged to a readable number of points."""
    epochs = {row["step"]: row["epoch"] for row in rows if "epoch" in row}
    held = [row for row in rows if name in row and row["step"] in epochs]
    points = [(epochs[row["step"]], row[name]) for row in held]
    size = max(1, len(points) // _SMOOTH)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts
    ]


def _title(name: str) -> str:
    known = {"loss": "loss, all terms", "cosine_to_teacher": "cosine to the teacher"}
    kind, _, rest = name.partition("/")
    if rest:
        return f"{kind} on {rest}" if kind == "accuracy" else f"{kind}: {rest}"
    return known.get(name, name.replace("_", " "))
