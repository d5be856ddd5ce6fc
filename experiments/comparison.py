"""The table and the picture of arms x seeds."""

import json
import statistics
from pathlib import Path

from matplotlib.figure import Figure

from pocketface import atomic


def accuracy(run: Path) -> float:
    """The accuracy that `pocketface evaluate` wrote for a run."""
    report = json.loads((run / "test" / "report.json").read_text())
    return float(report["accuracy"]["value"])


def write_comparison(
    out: Path, arms: dict[str, str], seeds: int, baselines: dict[str, float]
) -> None:
    """Write `comparison.md`, `.json` and `.png` into `out`."""
    measured = {arm: [accuracy(out / f"{arm}_{seed}") for seed in range(seeds)] for arm in arms}
    teacher = accuracy(out / "teacher")
    lines = ["| network | accuracy, mean | spread (sd) | seeds |", "|---|---|---|---|"]
    lines += [f"| {name} | {value:.2%} | - | - |" for name, value in baselines.items()]
    lines.append(f"| teacher | {teacher:.2%} | - | {teacher:.2%} |")
    for arm, values in measured.items():
        each = ", ".join(f"{value:.2%}" for value in values)
        mean, spread = statistics.mean(values), statistics.stdev(values)
        lines.append(f"| {arms[arm]} | {mean:.2%} | {spread:.2%} | {each} |")
    lines += [
        "",
        "| against alone, same seed | mean difference | sd of differences |",
        "|---|---|---|",
    ]
    for arm, values in measured.items():
        if arm != "alone":
            differences = [a - b for a, b in zip(values, measured["alone"], strict=True)]
            mean, spread = statistics.mean(differences), statistics.stdev(differences)
            lines.append(f"| {arms[arm]} | {mean:+.2%} | {spread:.2%} |")
    text = "\n".join(lines) + "\n"
    print(text)
    atomic.write_text(out / "comparison.md", text)
    content = {"baselines": baselines, "teacher": teacher, "arms": measured}
    atomic.write_text(out / "comparison.json", json.dumps(content, indent=1))
    _draw(out / "comparison.png", arms, measured, baselines | {"teacher": teacher})


def _draw(
    target: Path, arms: dict[str, str], measured: dict[str, list[float]], lines: dict[str, float]
) -> None:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for place, values in enumerate(measured.values()):
        axes.plot([100 * value for value in values], [place] * len(values), "o", color="C0")
        axes.plot(100 * statistics.mean(values), place, "|", color="C3", markersize=22)
    for name, value in lines.items():
        axes.axvline(100 * value, color="0.6", linewidth=1)
        axes.text(
            100 * value, len(measured) - 0.5, f" {name}", rotation=90, fontsize=8, color="0.35",
            va="bottom", ha="right",
        )  # fmt: skip
    axes.set_yticks(range(len(measured)), [arms[arm] for arm in measured])
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.set_xlabel("accuracy, % (points: seeds, bar: their mean)")
    axes.set_title("LFW pairs of people outside the training part", fontsize=11, loc="left")
    with atomic.atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
