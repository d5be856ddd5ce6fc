"""The picture of a run: losses, learning rate and accuracy over the epochs."""

from pathlib import Path
from typing import Any

from pocketface import atomic
from pocketface.train.log import read_metrics


def draw_curves(run: Path) -> Path:
    """Draw `figures/training.png` from a run's metrics; gives its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_metrics(run)
    epoch_at = {row["step"]: row["epoch"] for row in rows if "epoch" in row}
    names = sorted({name for row in rows for name in row})
    accuracies = [name for name in names if name.startswith("accuracy/")]
    terms = [name for name in names if name.startswith("loss/")]
    losses = ["loss", *terms] if len(terms) > 1 else ["loss"]
    cosines = [name for name in names if name == "cosine_to_teacher"]
    panels = [
        (title, chosen)
        for title, chosen in (
            ("loss", losses),
            ("cosine to the teacher", cosines),
            ("accuracy on pairs", accuracies),
            ("learning rate", ["learning_rate"]),
        )
        if chosen
    ]
    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, chosen) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        for name in chosen:
            points = _points(rows, name, epoch_at)
            axes.plot(*zip(*points, strict=True), label=name, marker="." if "acc" in name else "")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if len(chosen) > 1:
            axes.legend(fontsize="small")
    target = run / "figures" / "training.png"
    with atomic.atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return target


def _points(
    rows: list[dict[str, Any]], name: str, epoch_at: dict[int, float]
) -> list[tuple[float, float]]:
    return [(epoch_at[row["step"]], row[name]) for row in rows if name in row]
