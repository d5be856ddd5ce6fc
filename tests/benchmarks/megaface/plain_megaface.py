"""The figures of MegaFace from one pair at a time."""

import math
from itertools import groupby

import numpy as np

from pocketface.embedding.unit import unit

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def loops(comparison, name, weights):
    """The figures for `weights` of the people, from one pair at a time.

    Gives {size: rates of the ranks 1 to 10} and {far: (TAR, impostor pairs accepted)}.
    """
    probes, others = list(unit(comparison.probes)), list(unit(comparison.distractors))
    person = comparison.person
    if name == "refined":
        clean = list(probes)
        for row in np.flatnonzero(comparison.noisy_probes):
            own = (person == person[row]) & ~comparison.noisy_probes
            total = [math.fsum(column) for column in np.array(probes)[own].T]
            clean[row] = unit(np.array([total]))[0]
        probes = clean

    def similarity(a, b):
        return float(np.sum(a * b))

    pairs = [
        (similarity(probes[i], probes[j]), i, j)
        for i in range(len(probes))
        for j in range(len(probes))
        if i != j and person[i] == person[j]
    ]
    used = [d for d in range(len(others)) if name == "raw" or not comparison.noisy_distractors[d]]
    with_others = [{d: similarity(probe, others[d]) for d in used} for probe in probes]
    total = sum(weights[person[j]] for _, _, j in pairs)
    cmc = {}
    for size, chosen in comparison.chosen.items():
        rates = np.zeros(10)
        found = [
            sorted((row[d] for d in chosen.tolist() if d in row), reverse=True)
            for row in with_others
        ]
        for genuine, _, j in pairs:
            for rank in range(10):
                reached = rank >= len(found[j]) or genuine >= found[j][rank]
                rates[rank] += weights[person[j]] * reached
        cmc[size] = rates / total
    largest = comparison.chosen[max(comparison.chosen)].tolist()
    impostors = [
        (row[d], weights[person[j]])
        for j, row in enumerate(with_others)
        for d in largest
        if d in row
    ]
    return cmc, {far: _verified(pairs, impostors, person, weights, far) for far in FARS}


def _verified(pairs, impostors, person, weights, far):
    """TAR at the best similarity above which no more than `far` of the impostors lies."""
    everybody = sum(weight for _, weight in impostors)
    best, above = math.inf, 0.0
    # From the highest similarity down: is it the threshold, above which `above` lies?
    for value, equal in groupby(sorted(impostors, reverse=True), key=lambda pair: pair[0]):
        if above / everybody > far:
            break
        best = value
        above += sum(weight for _, weight in equal)
    accepted = sum(weights[person[j]] for genuine, _, j in pairs if genuine > best)
    return accepted / sum(weights[person[j]] for _, _, j in pairs), sum(
        value > best for value, _ in impostors
    )
