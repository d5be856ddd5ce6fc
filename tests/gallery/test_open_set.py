"""Unknown is an answer; the rate of false ones, against plain arithmetic."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from gallery_made import SIZE, filled
from hypothesis import given
from hypothesis import strategies as st

from pocketface.errors import GalleryError
from pocketface.gallery.open_set import decide, false_positive_rate, identify


@given(st.integers(0, 1000), st.integers(0, 200))
def test_the_rate_is_one_minus_all_rejections(per_mille: int, comparisons: int) -> None:
    exact = 1 - (1 - Fraction(per_mille, 1000)) ** comparisons
    assert false_positive_rate(per_mille / 1000, comparisons) == pytest.approx(
        float(exact), rel=1e-9, abs=1e-300
    )


def test_a_tiny_rate_is_not_lost() -> None:
    assert false_positive_rate(1e-18, 1000) == pytest.approx(1e-15)


def test_the_threshold_itself_is_reached(tmp_path: Path) -> None:
    vectors = np.eye(SIZE)[:3]
    query = np.array([[3.0, 4.0] + [0.0] * (SIZE - 2)])
    with filled(tmp_path / "g", vectors, ["a", "b", "c"]) as gallery:
        (matches,) = gallery.search(query, 2)
        top = matches[0].similarity
        assert top == pytest.approx(0.8)
        assert decide(matches, top).person == "b"
        (answer,) = identify(gallery, query, np.nextafter(top, 1), 2)
        assert answer.person is None
        assert [match.person for match in answer.candidates] == ["b", "a"]
        with pytest.raises(GalleryError, match=r"cosine .* got 1\.5"):
            identify(gallery, query, 1.5)
    assert decide([], -1).person is None
