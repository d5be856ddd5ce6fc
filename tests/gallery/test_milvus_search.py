"""People from templates that arrive in parts, rounded: against the exact search over all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import GalleryError
from pocketface.gallery import milvus_search
from pocketface.gallery.milvus_search import Hit, best_people
from pocketface.gallery.search import search

SIZE = 8


class Templates:
    """Answers as Milvus would: the best `limit` rows by a float32 product with noise in it."""

    def __init__(self, rows: np.ndarray, people: list[str], noise: np.random.Generator) -> None:
        self.rows = rows
        self.people = people
        self.noise = noise
        self.asked: list[tuple[int, list[str]]] = []

    def __call__(self, queries: np.ndarray, limit: int, without: list[str]) -> list[list[Hit]]:
        assert limit <= milvus_search.MOST_ROWS
        self.asked.append((limit, without))
        answers = []
        for query in queries:
            scores = (self.rows @ query.astype(np.float32)).astype(np.float64)
            scores += self.noise.uniform(-1, 1, len(scores)) * 6 * 2.0**-24
            order = [
                row for row in np.argsort(-scores, kind="stable") if self.people[row] not in without
            ]
            answers.append(
                [
                    Hit(self.people[row], f"{row}.jpg", (row, ""), scores[row], self.rows[row])
                    for row in order[:limit]
                ]
            )
        return answers


def exactly(rows: np.ndarray, people: list[str], queries: np.ndarray, k: int) -> list:
    """(person, similarity, row) by the search of a gallery in a file."""
    names = sorted(set(people))
    number = np.array([names.index(name) + 1 for name in people])
    answers = []
    for found in search(rows, number, queries, k):
        told = [
            (names[who - 1], min(max(float(similarity), -1.0), 1.0), f"{row}.jpg")
            for who, row, similarity in zip(*found, strict=True)
        ]
        answers.append(sorted(told, key=lambda each: (-each[1], each[0]))[:k])
    return answers


def told(found: list) -> list:
    return [[(match.person, match.similarity, match.photo) for match in each] for each in found]


def units(generator: np.random.Generator, count: int, spread: float) -> np.ndarray:
    rows = 1 + spread * generator.standard_normal((count, SIZE))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.integers(1, 40),
    st.integers(1, 12),
    st.sampled_from([10.0, 1e-2, 1e-4]),
    st.booleans(),
)
def test_the_answers_are_the_exact_search_s(
    seed: int, count: int, names: int, k: int, spread: float, twins: bool
) -> None:
    """However near the faces are to one another, and where some are the same to the last bit."""
    generator = np.random.default_rng(seed)
    rows = units(generator, count, spread).astype(np.float32)
    if twins:
        rows = rows[generator.integers(max(1, count // 3), size=count)]
    people = [f"{i:03d}" for i in generator.integers(names, size=count)]
    queries = np.concatenate([units(generator, 3, spread), rows[:1].astype(np.float64)])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    asked = Templates(rows, people, generator)
    assert told(best_people(asked, queries, k)) == exactly(rows, people, queries, k)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_one_person_with_more_templates_than_milvus_gives(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_search, "MOST_ROWS", 64)
    generator = np.random.default_rng(0)
    near = units(generator, 300, 0.05)
    far = units(generator, 100, 5.0)
    rows = np.concatenate([near, far]).astype(np.float32)
    people = ["everywhere"] * 300 + [f"{i % 5}" for i in range(100)]
    queries = near[:2]
    asked = Templates(rows, people, generator)
    assert told(best_people(asked, queries, k)) == exactly(rows, people, queries, k)
    assert asked.asked[-1] == (64, asked.asked[-1][1]) != (64, [])


def test_more_equals_than_milvus_gives_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_search, "MOST_ROWS", 64)
    generator = np.random.default_rng(0)
    rows = np.repeat(units(generator, 1, 1.0), 65, axis=0)
    asked = Templates(rows.astype(np.float32), [f"{i}" for i in range(65)], generator)
    with pytest.raises(GalleryError, match="more than 64 templates are equally similar"):
        best_people(asked, rows[:1], 1)


def test_an_empty_gallery_knows_nobody() -> None:
    asked = Templates(np.empty((0, SIZE), np.float32), [], np.random.default_rng(0))
    assert best_people(asked, np.eye(SIZE)[:2], 3) == [[], []]
    assert best_people(asked, np.empty((0, SIZE)), 3) == []
