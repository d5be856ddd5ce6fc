"""All figures of MegaFace from features: identification and verification, raw and refined.

Shapes: P probes, M distractors, G people of the probes, R replicates; the row before the
replicates is the figure itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.megaface.impostor_tail import ImpostorTail
from pocketface.benchmarks.megaface.lists import by_membership
from pocketface.benchmarks.megaface.nearest import DEPTH, NearestDistractors
from pocketface.benchmarks.megaface.refinement import clean_replacements
from pocketface.benchmarks.megaface.search import Keeper, Observer, Search
from pocketface.benchmarks.megaface.similarity import genuine_similarities, ordered_pairs
from pocketface.benchmarks.megaface.verification import (
    TailRanks,
    accepted_genuine,
    allowed,
    measurable_fars,
)
from pocketface.embedding.embedder import Progress
from pocketface.embedding.unit import unit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ProtocolName = Literal["raw", "refined"]

_ROC_POINTS = 200

_LEAST_KEPT = 100
"""Impostor pairs that are kept even where no FAR asks for them: the worst are shown."""


@dataclass(frozen=True)
class Comparison:
    """What is compared with what.

    Attributes:
        probes: floating (P, D), not normalised.
        person: int64 (P,), 0..G-1.
        distractors: floating (M, D), not normalised; may be a memory map.
        chosen: by a list's size, the distractors that it chooses, int64 (size,).
        protocols: which of 'raw' and 'refined' to measure.
        noisy_probes, noisy_distractors: bool (P,) and (M,), what the refined protocol mends.
        names: of the probes and of the distractors, for messages.
    """

    probes: npt.NDArray[np.floating]
    person: Ints
    distractors: npt.NDArray[np.floating]
    chosen: Mapping[int, Ints]
    protocols: tuple[ProtocolName, ...]
    noisy_probes: Bools
    noisy_distractors: Bools
    names: tuple[Sequence[str], Sequence[str]] | None = None


@dataclass(frozen=True)
class FarPoint:
    """Verification at one FAR.

    Attributes:
        far: the FAR aimed at.
        accepted: impostor pairs above the threshold.
        threshold: a pair is accepted if its similarity exceeds it.
        tar: float64 (1 + R,).
    """

    far: float
    accepted: int
    threshold: float
    tar: Floats


@dataclass(frozen=True)
class ProtocolFigures:
    """One protocol's figures and what they rest on.

    Attributes:
        enrolled, probe, genuine: the ordered pairs, int64 and int64 (pairs,), and their
            similarities, float64 (pairs,).
        compared: by a list's size, how many of its distractors are compared.
        cmc: by a list's size, float64 (1 + R, DEPTH), the rates of the ranks 1 to DEPTH.
        impostors: how many impostor pairs there are, of the largest list.
        points: verification, by rising FAR.
        roc: float64 (K, 2), FAR and TAR from no accepted impostor pair to the largest FAR.
        ranks, tail: the highest impostor similarities in order, and whose they are.
    """

    name: ProtocolName
    enrolled: Ints
    probe: Ints
    genuine: Floats
    compared: dict[int, int]
    cmc: dict[int, Floats]
    impostors: int
    points: tuple[FarPoint, ...]
    roc: Floats
    ranks: TailRanks
    tail: ImpostorTail


class _Protocol:
    """One protocol under way: its probes among the rows of the search, and what it keeps."""

    def __init__(
        self,
        name: ProtocolName,
        directions: Floats,
        rows: Ints,
        person: Ints,
        ignored: Bools | None,
        weights: Floats,
    ) -> None:
        self.name = name
        self.rows = rows
        self.person = person
        self.ignored = ignored
        self.weights = weights
        self.enrolled, self.probe = ordered_pairs(person)
        self.genuine = genuine_similarities(directions[rows], self.enrolled, self.probe)
        self.group = person[self.probe]
        self.pairs = np.bincount(self.group, minlength=weights.shape[1]).astype(np.float64)
        self.nearest: dict[int, NearestDistractors] = {}

    def count(self, chosen: Ints) -> int:
        """How many of the distractors `chosen` are compared."""
        return len(chosen) - (0 if self.ignored is None else int(self.ignored[chosen].sum()))

    def nearest_for(self, size: int) -> NearestDistractors:
        """What is to be kept of the list of `size` distractors."""
        self.nearest[size] = NearestDistractors(len(self.rows))
        return self.nearest[size]

    def tail_for(self, distractors: int) -> ImpostorTail:
        """An empty tail, deep enough for every FAR and every replicate."""
        probes = np.bincount(self.person, minlength=self.weights.shape[1])
        self.impostors = distractors * len(self.person)
        self.totals = self.weights @ probes * distractors
        self.fars = measurable_fars(self.impostors)
        deepest = [allowed(self.fars[-1], total) if self.fars else 0 for total in self.totals]
        self.tail = ImpostorTail(
            self.person, self.weights, np.maximum(np.array(deepest, np.float64), _LEAST_KEPT)
        )
        return self.tail

    def _identify(self, nearest: NearestDistractors) -> Floats:
        """The rates of the ranks against one list, float64 (1 + R, DEPTH)."""
        reached = self.genuine[:, None] >= nearest.similarity[self.probe]
        hits = np.stack(
            [
                np.bincount(self.group[reached[:, rank]], minlength=len(self.pairs))
                for rank in range(DEPTH)
            ],
            axis=1,
        )
        return self._shares(self.weights @ hits)

    def finish(self, chosen: Mapping[int, Ints]) -> ProtocolFigures:
        """Measure when every distractor of the lists `chosen` has been seen."""
        ranks = TailRanks(self.tail, self.person)
        points = []
        for far in self.fars:
            thresholds = np.array(
                [
                    ranks.threshold(weights, far, total)
                    for weights, total in zip(self.weights, self.totals, strict=True)
                ]
            )
            accepted = accepted_genuine(self.genuine, self.group, thresholds, len(self.pairs))
            shares = self._shares((self.weights * accepted).sum(axis=1, keepdims=True))
            points.append(
                FarPoint(far, ranks.accepted(thresholds[0]), float(thresholds[0]), shares[:, 0])
            )
        return ProtocolFigures(
            self.name,
            self.enrolled,
            self.probe,
            self.genuine,
            {size: self.count(rows) for size, rows in chosen.items()},
            {size: self._identify(nearest) for size, nearest in self.nearest.items()},
            self.impostors,
            tuple(points),
            self._roc(ranks),
            ranks,
            self.tail,
        )

    def _shares(self, found: Floats) -> Floats:
        """Divide weights of found pairs (1 + R, K) by those of all genuine pairs."""
        with np.errstate(invalid="ignore"):  # a replicate may have drawn nobody with two images
            shares: Floats = found / (self.weights @ self.pairs)[:, None]
        return shares

    def _roc(self, ranks: TailRanks) -> Floats:
        deepest = self.impostors
        if self.fars:
            deepest = min(deepest, allowed(self.fars[-1], self.impostors))
        deepest = min(deepest, len(ranks.similarity) - 1)
        steps = np.unique(np.geomspace(1, max(deepest, 1), _ROC_POINTS).astype(np.int64))
        steps = np.concatenate([[0], steps[steps <= deepest]])
        thresholds = ranks.similarity[steps]
        above = np.sort(self.genuine)
        tar = 1 - np.searchsorted(above, thresholds, side="right") / len(above)
        far = np.array([ranks.accepted(value) for value in thresholds]) / self.impostors
        return np.unique(np.stack([far, tar], axis=1), axis=0)


def measure(
    comparison: Comparison,
    *,
    replicates: int,
    generator: np.random.Generator,
    progress: Progress | None = None,
) -> list[ProtocolFigures]:
    """Measure the protocols that `comparison` asks for.

    `generator` draws the people of the probes for the `replicates`; the distractors stay as they
    are. `progress` is told how many distractors are compared, those in several lists once.

    Raises WeightsError for features that are zero or not finite, DataError if a noisy probe has
    no clean one of its person beside it.
    """
    people = int(comparison.person.max()) + 1
    weights = person_draws(people, replicates, generator)
    directions, protocols = _protocols(comparison, weights)
    chosen = comparison.chosen
    observers: dict[int, list[Observer]] = {size: [] for size in sorted(chosen)}
    for protocol in protocols:
        for size in observers:
            keepers: list[Keeper] = [protocol.nearest_for(size)]
            if size == max(chosen):
                keepers.append(protocol.tail_for(protocol.count(chosen[size])))
            for keeper in keepers:
                observers[size].append(Observer(keeper, protocol.rows, protocol.ignored))
    parts = by_membership(chosen, len(comparison.distractors))
    work, done = sum(len(rows) for _, rows in parts), 0
    for sizes, rows in parts:
        seen = [observer for size in sizes for observer in observers[size]]
        tell = None if progress is None else _part_of(progress, done, work)
        names = None if comparison.names is None else comparison.names[1]
        Search(directions, comparison.distractors, seen, names).run(rows, tell)
        done += len(rows)
    return [protocol.finish(chosen) for protocol in protocols]


def _part_of(progress: Progress, before: int, work: int) -> Progress:
    """Progress of a part of the distractors as progress of all."""
    return lambda done, _: progress(before + done, work)


def person_draws(people: int, replicates: int, generator: np.random.Generator) -> Floats:
    """How often each person counts, float64 (1 + R, G): once, then as each replicate draws."""
    rows = [np.ones(people)]
    for _ in range(replicates):
        drawn = generator.integers(people, size=people)
        rows.append(np.bincount(drawn, minlength=people).astype(np.float64))
    return np.stack(rows)


def _protocols(comparison: Comparison, weights: Floats) -> tuple[Floats, list[_Protocol]]:
    """The unit vectors of all probes and their replacements, and the protocols on them."""
    person = comparison.person
    # Without a raw protocol nobody needs the direction of a noisy probe, which may have none.
    needed = ~comparison.noisy_probes | ("raw" in comparison.protocols)
    directions = np.zeros(comparison.probes.shape)
    names = None
    if comparison.names is not None:
        names = [comparison.names[0][row] for row in np.flatnonzero(needed).tolist()]
    directions[needed] = unit(comparison.probes[needed], names)
    rows = np.arange(len(person))
    protocols = []
    for name in comparison.protocols:
        if name == "raw":
            protocols.append(_Protocol(name, directions, rows, person, None, weights))
            continue
        noisy = np.flatnonzero(comparison.noisy_probes)
        replaced = rows.copy()
        replaced[noisy] = len(directions) + np.arange(len(noisy))
        mended = clean_replacements(directions, person, comparison.noisy_probes)
        directions = np.concatenate([directions, mended])
        ignored = comparison.noisy_distractors
        protocols.append(_Protocol(name, directions, replaced, person, ignored, weights))
    return directions, protocols
