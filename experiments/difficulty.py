"""How hard one circumstance makes the synthetic pairs, everything else held.

The first picture of each pair looks into the camera; the second is the same draw for every value of
the circumstance, with that field replaced. Pairs are of the same people in every column, so a curve
shows the circumstance alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from pocketface import atomic
from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.data.pairs import PairSet
from pocketface.embedding.embedder import Embedder
from pocketface.synthetic import FRONTAL, Nuisance, Population
from pocketface.synthetic.render import render

PEOPLE_FROM = 3_000_000_000
"""The first person of these pairs; no set of `pocketface data synth` has such a number."""

_BATCH = 64


@dataclass(frozen=True)
class Circumstance:
    """A field of the second picture, its values, and how both pictures take a value."""

    title: str
    values: tuple[float, ...]
    first: Callable[[Nuisance], Nuisance]
    second: Callable[[Nuisance, float], Nuisance]


CIRCUMSTANCES = {
    "yaw": Circumstance(
        "yaw of the second picture, degrees",
        (0, 15, 30, 45, 60, 75, 90),
        lambda now: now.but(yaw=0.0, age=40.0),
        lambda now, value: now.but(yaw=value, age=40.0),
    ),
    "age": Circumstance(
        "years between the pictures",
        (0, 10, 20, 30, 40, 50, 60),
        lambda now: now.but(age=20.0),
        lambda now, value: now.but(age=20.0 + value),
    ),
    "blur": Circumstance(
        "blur of the second picture, pixels",
        (0.5, 1, 2, 3, 4, 6, 8),
        lambda now: now.but(blur=0.5, resolution=112.0, age=40.0),
        lambda now, value: now.but(blur=value, resolution=112.0, age=40.0),
    ),
}


def pairs_at(
    seed: int, people: int, circumstance: Circumstance, value: float, size: int = 112
) -> PairSet:
    """`people` pairs of one person and as many of two, in turns, at one value."""
    population = Population(seed)
    who = [population.person(PEOPLE_FROM + i) for i in range(people)]
    drawn = [
        [population.nuisance(PEOPLE_FROM + i, image, FRONTAL) for i in range(people)]
        for image in (0, 1)
    ]
    moments = [circumstance.first(now) for now in drawn[0]]
    moments += [circumstance.second(now, value) for now in drawn[1]]
    images = np.concatenate(
        [
            render((who + who)[i : i + _BATCH], moments[i : i + _BATCH], size).images
            for i in range(0, 2 * people, _BATCH)
        ]
    )
    # The second picture of two people is the next person's.
    left = np.repeat(np.arange(people), 2)
    right = people + (left + np.tile([0, 1], people)) % people
    same = np.tile([True, False], people)
    return PairSet(list(images), left, right, same, [f"picture {i}" for i in range(2 * people)])


def measure_curves(
    embedders: dict[str, Embedder], seed: int, people: int
) -> dict[str, dict[str, list[float]]]:
    """Accuracy by circumstance, then by embedder, one for each value."""
    torch.set_num_threads(1)
    curves: dict[str, dict[str, list[float]]] = {}
    for name, circumstance in CIRCUMSTANCES.items():
        curves[name] = {title: [] for title in embedders}
        for value in circumstance.values:
            pairs = PairBenchmark(name, pairs_at(seed, people, circumstance, value))
            for title, embedder in embedders.items():
                found = pairs.run(embedder, replicates=0).result.accuracy.value
                curves[name][title].append(found)
            print(name, value, {title: curves[name][title][-1] for title in embedders}, flush=True)
    return curves


def draw_curves(target: Path, curves: dict[str, dict[str, list[float]]]) -> None:
    """One panel for each circumstance."""
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True)
    for axes, (name, lines) in zip(panels, curves.items(), strict=True):
        for colour, (title, values) in zip(("#0072b2", "#d55e00"), lines.items(), strict=False):
            shown = [100 * value for value in values]
            axes.plot(CIRCUMSTANCES[name].values, shown, "o-", color=colour, label=title)
        axes.set_xlabel(CIRCUMSTANCES[name].title)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(48, 101)
    panels[0].set_ylabel("accuracy, %")
    panels[0].legend(frameon=False, loc="lower left")
    with atomic.atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
