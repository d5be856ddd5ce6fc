"""The pictures of a MegaFace report, drawn from the figures alone."""

import io

import numpy as np
import pytest
from PIL import Image

from pocketface.benchmarks.megaface import MegafaceBenchmark
from pocketface.benchmarks.megaface import figures as drawn
from pocketface.benchmarks.megaface.result import CmcPoint, CurvePoint
from pocketface.benchmarks.result import Estimate


@pytest.fixture
def result(megaface_set, pattern_embedder, tmp_path):
    benchmark = MegafaceBenchmark.load(megaface_set())
    return benchmark.run(pattern_embedder(), work=tmp_path / "work", replicates=20).result


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_every_picture_shows_both_protocols(result):
    pictures = drawn.figures(result)
    assert list(pictures) == ["cmc.png", "distractors.png", "roc.png", "det.png"]
    one = result.model_copy(update={"protocols": result.protocols[:1]})
    for name, content in pictures.items():
        seen = pixels(content)
        assert seen.shape == (630, 960, 3)
        blue = (np.abs(seen.astype(int) - (0x00, 0x72, 0xB2)).max(axis=2) < 8).sum()
        assert blue > 200, name
        alone = pixels(drawn.figures(one)[name])
        assert (np.abs(alone.astype(int) - (0x00, 0x72, 0xB2)).max(axis=2) < 8).sum() == 0


def test_the_axes_and_curves_are_those_of_the_result(result, monkeypatch):
    """What is handed to the canvas: heights over ranks, sizes and FARs."""
    kept = []
    monkeypatch.setattr(drawn, "png", lambda figure: kept.append(figure.axes[0]) or b"")
    drawn.figures(result)
    cmc, distractors, roc, det = kept
    for number, protocol in enumerate(result.protocols):
        line = cmc.lines[number]
        assert line.get_xdata().tolist() == list(range(1, 11))
        assert list(line.get_ydata()) == [rate.value for rate in protocol.cmc[-1].rates]
    (first,) = (line for line in distractors.lines if line.get_label() == "raw")
    assert first.get_xdata().tolist() == [10, 100, 800]
    assert list(first.get_ydata()) == [entry.rates[0].value for entry in result.protocols[0].cmc]
    assert distractors.get_xscale() == roc.get_xscale() == det.get_yscale() == "log"
    for axes in (roc, det):
        left, right = axes.get_xlim()
        impostors = result.protocols[1].impostor_pairs
        assert left == pytest.approx(0.5 / impostors)
        assert right > result.protocols[0].points[-1].far
    curve = result.protocols[1].roc
    (line,) = (line for line in roc.lines if line.get_label() == "refined")
    assert list(line.get_ydata()) == [point.tar for point in curve]
    (line,) = (line for line in det.lines if line.get_label() == "refined")
    np.testing.assert_allclose(
        line.get_ydata(), [max(1 - point.tar, 0.5 / result.genuine_pairs) for point in curve]
    )
    assert all(axes.get_ylim()[1] <= 1.02 for axes in kept)


def test_a_perfect_network_without_intervals_can_be_drawn(result):
    sure = Estimate(value=1.0)
    perfect = tuple(
        protocol.model_copy(
            update={
                "cmc": (CmcPoint(distractors=10, compared=10, rates=(sure,) * 10),),
                "points": (),
                "roc": (CurvePoint(far=0.0, tar=1.0),),
            }
        )
        for protocol in result.protocols
    )
    for content in drawn.figures(result.model_copy(update={"protocols": perfect})).values():
        assert pixels(content).shape == (630, 960, 3)
