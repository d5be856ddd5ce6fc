"""The film strip and the curves of a search: which moments they show, and that they can be seen."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pocketface.search.film_strip import FRAMES, film_strip, frames_of
from pocketface.search.mixed import SEARCH_PRIMITIVES
from pocketface.search.search_curves import search_curves


@pytest.mark.parametrize("moments", [1, 2, FRAMES, FRAMES + 1, 51])
def test_the_first_the_last_and_the_chosen_moment_are_shown(moments):
    for chosen in range(moments):
        frames = frames_of(moments, chosen)
        assert len(frames) == len(set(frames)) == min(moments, FRAMES)
        assert frames == sorted(frames)
        assert {0, chosen, moments - 1} <= set(frames)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that were saved."""
    found: list[Figure] = []
    save = Figure.savefig

    def saved(self: Figure, *given: object, **named: object) -> None:
        found.append(self)
        save(self, *given, **{**named, "dpi": 30})

    monkeypatch.setattr(Figure, "savefig", saved)
    return found


def test_a_strip_shows_the_shares_and_marks_what_is_kept(drawn):
    rng = np.random.default_rng(0)
    normal, reduce = rng.standard_normal((2, 4, 14, 8)).astype(np.float32)
    picture = Image.open(io.BytesIO(film_strip(normal, reduce, 2)))
    picture.load()
    (figure,) = drawn
    axes = [each for each in figure.axes if each.images]
    assert [each.get_title() for each in axes] == 2 * [
        "start",
        "epoch 1",
        "epoch 2 (chosen)",
        "epoch 3",
    ]
    for row, weights in enumerate((normal, reduce)):
        for epoch in range(4):
            frame = axes[4 * row + epoch]
            shares = np.exp(weights[epoch]) / np.exp(weights[epoch]).sum(axis=1, keepdims=True)
            shown = 2.0 ** frame.images[0].get_array()
            assert np.allclose(shown, shares * 8, atol=1e-4)
            (dots,) = [line for line in frame.lines if line.get_marker() == "o"]
            places = list(zip(dots.get_xdata(), dots.get_ydata(), strict=True))
            assert len(places) == 8
            for column, edge in places:
                assert weights[epoch][edge][:7].argmax() == column
    names = [label.get_text() for label in axes[-1].get_xticklabels()]
    assert names == list(SEARCH_PRIMITIVES)
    edges = [label.get_text() for label in axes[0].get_yticklabels()]
    assert edges[0] == r"$c_{k-2}$ to 0"
    assert edges[-1] == "2 to 3"


def test_the_curves_show_the_metrics_over_the_epochs(drawn):
    rows = [
        {"step": 4, "epoch": 1.0, "loss": 2.5},
        {"step": 4, "epoch": 1.0, "top1/weights": 0.2, "skips/normal": 1, "macs": 5_000_000},
        {"step": 8, "epoch": 2.0, "loss": 1.5, "architecture_loss": 2.0},
        {"step": 8, "epoch": 2.0, "top1/weights": 0.4, "skips/normal": 3, "macs": 6_000_000},
    ]
    Image.open(io.BytesIO(search_curves(rows, chosen=2, people=4))).load()
    (figure,) = drawn
    lines = {
        (axes.get_title(), line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))
        for axes in figure.axes
        for line in axes.lines
    }
    assert lines["loss", "weights' half"] == ([1, 2], [2.5, 1.5])
    assert lines["loss", "architecture's half"] == ([2], [2.0])
    assert lines["top-1 accuracy", "weights' half"] == ([1, 2], [0.2, 0.4])
    assert lines["top-1 accuracy", "chance"][1] == [0.25, 0.25]
    assert lines["edges that skip or pool, of 8", "skips, normal cell"][1] == [1, 3]
