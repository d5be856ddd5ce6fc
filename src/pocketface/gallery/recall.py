"""How many of the most similar people a gallery finds, where its index is approximate.

The yardstick reads every template once and compares it exactly. What is asked are faces such as
come in: a template that is enrolled, turned by a random direction until its cosine to the true one
is `LIKENESS`, about that of two photographs of a person (our choice; the enrolled template itself
would be found too easily). recall@k is the share of the k most similar people that are found.

Shapes: D numbers of an embedding, Q queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from pocketface.embedding.unit import unit
from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Entry, Gallery
from pocketface.gallery.search import search

LIKENESS = 0.6
TOPS = (1, 10)

_BLOCK = 1 << 15


@dataclass(frozen=True)
class Recall:
    """`at` gives recall@k for k of `TOPS`, 0 to 1, over so many `faces`."""

    faces: int
    at: dict[int, float]


def measure_recall(gallery: Gallery, count: int, generator: np.random.Generator) -> Recall:
    """recall@1 and @10 of `gallery.search` on `count` faces, drawn by `generator`.

    All templates are read twice. Raises GalleryError for an empty gallery, and as `Gallery.export`.
    """
    faces = _faces(_sample(gallery.export(), count, generator), generator)
    found = gallery.search(faces, max(TOPS))
    # Of the same directions, to the last bit, as the gallery asked for.
    exact = _best_similarities(gallery.export(), unit(faces), max(TOPS))
    shares: dict[int, list[float]] = {k: [] for k in TOPS}
    for matches, best in zip(found, exact, strict=True):
        for k in TOPS:
            wanted = best[:k]
            # Similarities are told exactly, so whoever reaches the last of these belongs to them.
            right = sum(match.similarity >= wanted[-1] for match in matches[:k])
            shares[k].append(right / len(wanted))
    return Recall(len(faces), {k: float(np.mean(values)) for k, values in shares.items()})


def _sample(
    entries: Iterator[Entry], count: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """So many of the vectors (D,), each set of them as likely: reservoir sampling."""
    kept: list[npt.NDArray[np.float32]] = []
    for number, entry in enumerate(entries):
        if number < count:
            kept.append(entry.vector)
        elif (place := int(generator.integers(number + 1))) < count:
            kept[place] = entry.vector
    if not kept:
        raise GalleryError("the gallery is empty: there is nobody to be found. Enrol people first.")
    return np.stack(kept).astype(np.float64)


def _faces(
    templates: npt.NDArray[np.float64], generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Unit vectors (Q, D), each with the cosine `LIKENESS` to its template."""
    noise = generator.standard_normal(templates.shape)
    noise -= (noise * templates).sum(axis=1, keepdims=True) * templates
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return unit(LIKENESS * templates + (1 - LIKENESS**2) ** 0.5 * noise)


def _best_similarities(
    entries: Iterator[Entry], faces: npt.NDArray[np.float64], k: int
) -> list[list[float]]:
    """The similarities of the k most similar people of each face, the highest first."""
    number: dict[str, int] = {}
    best: list[dict[int, float]] = [{} for _ in faces]
    while block := list(islice(entries, _BLOCK)):
        rows = np.stack([entry.vector for entry in block])
        person = np.array(
            [number.setdefault(entry.person, len(number) + 1) for entry in block], np.int64
        )
        # Whoever is among the best of all is among the best of the block with their best template.
        for known, found in zip(best, search(rows, person, faces, k), strict=True):
            for who, similarity in zip(found.person.tolist(), found.similarity, strict=True):
                known[who] = max(known.get(who, -2.0), float(similarity))
    return [
        [min(max(value, -1.0), 1.0) for value in sorted(known.values(), reverse=True)[:k]]
        for known in best
    ]
