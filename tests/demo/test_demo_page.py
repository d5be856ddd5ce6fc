"""The demo's page, from results that were really measured (raw pixels as the network)."""

from pathlib import Path

import numpy as np
import pytest

from pocketface.benchmarks.pair_benchmark import PairBenchmark, PairRun
from pocketface.data.pairs import PairSet
from pocketface.demo.examples import choose_examples
from pocketface.demo.page import Story, write_page
from pocketface.demo.tradeoff import Measured, tradeoff_png
from pocketface.embedding.pixels import PixelEmbedder


def pair_set(people: int = 40) -> PairSet:
    """Two noisy images of each of some coarse patterns; some pairs are hard."""
    rng = np.random.default_rng(1)
    images, names = [], []
    for person in range(people):
        pattern = np.kron(rng.integers(60, 196, (7, 7, 3)), np.ones((16, 16, 1)))
        for number in range(2):
            noisy = pattern + rng.normal(0, 10 + 3 * person, pattern.shape)
            images.append(np.clip(noisy, 0, 255).astype(np.uint8))
            names.append(f"person_{person}/{number}.png")
    first = 2 * np.arange(people)
    other = np.roll(first, 1) + 1
    same = np.tile([True, False], people)
    left = np.repeat(first, 2)
    right = np.where(same, left + 1, np.repeat(other, 2))
    return PairSet(images, left, right, same, names, folds=10)


@pytest.fixture(scope="module")
def measured() -> PairRun:
    return PairBenchmark("toy", pair_set()).run(PixelEmbedder(), replicates=0)


def test_examples_are_what_they_are_called(measured: PairRun) -> None:
    pairs = measured.pairs
    examples = choose_examples(measured.result, measured.scores, pairs, 3)
    assert {(e.same, e.right_verdict) for e in examples} >= {(True, True), (False, True)}
    compared = list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    truth = dict(zip(compared, pairs.same, strict=True))
    scores = dict(zip(compared, measured.scores, strict=True))
    for example in examples:
        assert truth[example.left, example.right] == example.same
        assert scores[example.left, example.right] == example.similarity
    kinds = [(e.same, e.right_verdict) for e in examples]
    assert all(kinds.count(kind) <= 3 for kind in set(kinds))


def test_the_page_tells_everything(measured: PairRun, tmp_path: Path) -> None:
    networks = [
        Measured("teacher (a)", 1_000_000, 50_000_000, {"toy": 0.9}),
        Measured("student (b<c>)", 261_536, 10_000_000, {"toy": 0.85}),
    ]
    curve = tmp_path / "training.png"
    curve.write_bytes(tradeoff_png(networks, {"toy": 0.6}))
    story = Story(
        networks=networks,
        pixels={"toy": 0.6},
        results={"toy": measured.result},
        galleries=[measured.result.model_copy(update={"benchmark": "IJB<B>"})],
        pairs=measured.pairs,
        shown="toy",
        scores=measured.scores,
        curves={"student": curve},
        commands=[(["train", "a b", "--out", "x"], 12.3)],
    )
    text = write_page(tmp_path / "report.html", story).read_text()
    assert "+25.0 points" in text
    assert "261,536" in text
    assert "student (b&lt;c&gt;)" in text
    assert "pocketface train &#x27;a b&#x27; --out x" in text
    assert text.count("data:image/png") == 3
    assert "IJB&lt;B&gt;" in text
    assert all(row.value in text for row in measured.result.rows())
    assert "http" not in text  # nothing is fetched from anywhere
