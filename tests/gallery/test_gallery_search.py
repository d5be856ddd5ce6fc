"""Search against a plain loop: both precisions, several templates, gaps, ties."""

from pathlib import Path

import numpy as np
import pytest
from gallery_made import MAKER, SIZE, filled, template
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import GalleryError
from pocketface.gallery import SqliteGallery
from pocketface.gallery.block import Precision
from pocketface.gallery.search import PIECE, _widen, search


def plain(vectors: np.ndarray, people: list[str], query: np.ndarray, k: int) -> list:
    """Each person's best template, by similarity, then by name."""
    query = query / np.linalg.norm(query)
    best: dict[str, float] = {}
    for vector, name in zip(vectors, people, strict=True):
        kept = (vector / np.linalg.norm(vector)).astype(np.float32).astype(np.float64)
        similarity = float((kept * query).sum())
        best[name] = max(best.get(name, -2.0), similarity)
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize(("count", "k"), [(1, 3), (63, 1), (65, 5), (1000, 10), (1000, 400)])
def test_search_is_the_plain_loop(tmp_path: Path, precision: Precision, count: int, k: int) -> None:
    generator = np.random.default_rng(count + k)
    vectors = generator.standard_normal((count, SIZE))
    people = [f"person {i:03d}" for i in generator.integers(max(1, count // 3), size=count)]
    queries = generator.standard_normal((5, SIZE))
    with filled(tmp_path / "g", vectors, people, precision=precision) as gallery:
        found = gallery.search(queries, k)
    for query, matches in zip(queries, found, strict=True):
        wanted = plain(vectors, people, query, k)
        assert [match.person for match in matches] == [name for name, _ in wanted]
        np.testing.assert_allclose(
            [match.similarity for match in matches], [score for _, score in wanted], atol=1e-12
        )


def test_float16_gives_what_float32_gives_to_the_last_digit(tmp_path: Path) -> None:
    """People nearer to one another than float16 can tell."""
    generator = np.random.default_rng(0)
    vectors = np.ones(SIZE) + 1e-3 * generator.standard_normal((500, SIZE))
    people = [f"{i}" for i in range(500)]
    with filled(tmp_path / "g", vectors, people) as gallery:
        wanted = gallery.search(vectors[:20], 3)
    with SqliteGallery(tmp_path / "g", MAKER, precision="float16") as gallery:
        assert gallery.search(vectors[:20], 3) == wanted
    assert [matches[0].person for matches in wanted] == people[:20]


def test_equal_people_are_ordered_by_name_wherever_they_stand(tmp_path: Path) -> None:
    vector = np.random.default_rng(1).standard_normal(SIZE)
    people = [f"{i:03d}" for i in np.random.default_rng(2).permutation(3 * PIECE)]
    for number, order in enumerate((people, people[::-1])):
        with filled(tmp_path / f"{number}", np.tile(vector, (len(order), 1)), order) as gallery:
            (matches,) = gallery.search(vector[None], 4)
        assert [match.person for match in matches] == ["000", "001", "002", "003"]


def test_one_person_with_most_templates_hides_nobody(tmp_path: Path) -> None:
    """The floor must be lowered several times until a second person comes out."""
    generator = np.random.default_rng(3)
    query = generator.standard_normal(SIZE)
    near = query + 0.1 * generator.standard_normal((30 * PIECE, SIZE))
    far = generator.standard_normal((5, SIZE))
    people = ["everywhere"] * len(near) + [f"far {i}" for i in range(5)]
    with filled(tmp_path / "g", np.concatenate([near, far]), people) as gallery:
        (matches,) = gallery.search(query[None], 3)
    wanted = plain(np.concatenate([near, far]), people, query, 3)
    assert [match.person for match in matches] == [name for name, _ in wanted]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 12), st.booleans())
def test_rows_of_nobody_are_passed_over(seed: int, count: int, k: int, narrow: bool) -> None:
    """Whatever stands in them, though it would score highest."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows.astype(np.float16 if narrow else np.float32)
    person = generator.integers(0, 6, size=count)
    query = generator.standard_normal(8)
    query /= np.linalg.norm(query)
    rows[person == 0] = query
    (found,) = search(rows, person, query[None], k)
    scores = (rows.astype(np.float64) * query).sum(axis=1)
    best = {who: scores[person == who].max() for who in set(person.tolist()) - {0}}
    wanted = sorted(best, key=lambda who: -best[who])[:k]
    assert found.person[: len(wanted)].tolist() == wanted
    np.testing.assert_array_equal(found.similarity[: len(wanted)], [best[who] for who in wanted])


def test_a_question_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    with SqliteGallery(tmp_path / "g", MAKER) as gallery:
        assert gallery.search(np.ones((2, SIZE)), 3) == [[], []]
        with pytest.raises(GalleryError, match=r"\(Q, 16\)"):
            gallery.search(np.ones(SIZE))
        with pytest.raises(GalleryError, match="at least 1"):
            gallery.search(np.ones((1, SIZE)), 0)
        with pytest.raises(GalleryError, match="no direction"):
            gallery.search(np.zeros((1, SIZE)))
        gallery.enrol("a", [template(np.ones(SIZE))])
        (matches,) = gallery.search(np.ones((1, SIZE)), 9)
        assert [(match.person, match.photo) for match in matches] == [("a", "a.jpg")]
        assert matches[0].similarity == pytest.approx(1, abs=1e-6)


def test_every_finite_float16_is_widened_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 8)  # more rows than are widened at once
    wide = _widen(finite, np.empty(finite.shape, np.float32))
    np.testing.assert_array_equal(wide.astype(np.float64) * 2.0**112, finite.astype(np.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("queries", [1, 3, 70])
def test_galleries_of_several_blocks(dtype: type[np.floating], queries: int) -> None:
    """70 queries make blocks of 29,952 rows, one of float16 makes them of 4,096."""
    generator = np.random.default_rng(queries)
    rows = generator.standard_normal((31_000, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)
    person = np.arange(1, len(rows) + 1)
    directions = generator.standard_normal((queries, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for query, found in zip(directions, search(rows, person, directions, 5), strict=True):
        scores = (rows.astype(np.float64) * query).sum(axis=1)
        wanted = np.argsort(-scores, kind="stable")[:5]
        assert found.row[:5].tolist() == wanted.tolist()
        np.testing.assert_array_equal(found.similarity[:5], scores[wanted])
