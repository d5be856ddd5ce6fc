"""Whose accuracy stands at whose cost, and where names stand in the picture."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.benchmarks.published_table import BARS, COLUMNS, EXACT_MFLOPS, NAMES, PUBLISHED
from pocketface.data.pairs import PairSet
from pocketface.embedding.pixels import PixelEmbedder
from pocketface.errors import RecipeError
from pocketface.profile.name_places import PLACES, Box, place_names
from pocketface.profile.tradeoff import Point, tradeoffs
from pocketface.profile.tradeoff_picture import tradeoff_png


@pytest.fixture(scope="module")
def lfw():
    """The result of a network with the fingerprint 'abc' on LFW."""
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8))
    left = np.arange(20)
    pairs = PairSet(images, left, left + 20, left % 2 == 0, [f"{i}.png" for i in range(40)], 2)
    result = PairBenchmark("lfw", pairs).run(PixelEmbedder(), replicates=0).result
    return result.model_copy(
        update={
            "pairs": 6000,
            "accuracy": result.accuracy.model_copy(
                update={"value": 0.991, "low": 0.985, "high": 0.995}
            ),
            "model": result.model.model_copy(
                update={"name": "mine", "fingerprint": "abc", "embedding_size": 128}
            ),
        }
    )


@pytest.fixture
def file(model):
    """The profile of a foreign file with that fingerprint."""
    return model(
        name="mine",
        source="onnx",
        architecture="foreign",
        parameters=None,
        macs=200_000_000,
        counted="file",
        paper_mflops=None,
        published_mflops=None,
        bytes=4_000_000,
        fingerprints=("abc", "def"),
    )


def point(tradeoff, name: str) -> Point:
    (found,) = [each for each in tradeoff.points if each.name == name]
    return found


def test_ones_own_stands_at_its_measured_cost(lfw, file, profile_of) -> None:
    (drawn,) = tradeoffs(profile_of(file), [lfw], [])
    assert drawn.column == "LFW"
    assert drawn.timing == "onnxruntime, 1 thread"
    own = point(drawn, "mine")
    assert own == Point("mine", pytest.approx(99.1), True, pytest.approx(98.5), pytest.approx(99.5),
                        mflops=400.0, latency=8.0, megabytes=4.0)  # fmt: skip


def test_published_rows_stand_beside_with_what_their_papers_print(lfw, file, profile_of) -> None:
    (drawn,) = tradeoffs(profile_of(file), [lfw], [])
    rows = [row for row in (*PUBLISHED, *BARS) if "LFW" in row.figures]
    others = [each for each in drawn.points if each.name != "mine"]
    assert [(p.name, p.accuracy, p.mflops, p.parameters_m) for p in others] == [
        (row.name, row.figures["LFW"], row.mflops, row.parameters_m) for row in rows
    ]
    assert not any(each.measured for each in others)
    assert {each.latency for each in others} == {None}


def test_a_published_network_takes_the_latency_measured_here(model, profile_of) -> None:
    (lfw, ijbc) = tradeoffs(profile_of(model()), [], ["LFW", "IJB-C"])
    own = point(lfw, "PocketNetS-128")
    assert (own.accuracy, own.measured, own.latency) == (99.58, False, 8.0)
    assert own.megabytes == pytest.approx(3.77414)
    assert point(ijbc, "PocketNetS-128").accuracy == 91.62
    assert {"GhostFaceNetV1-1.3-2", "arcface_torch mbf, MS1MV2"} <= {p.name for p in ijbc.points}
    # At another image size it is another network, and the published figure is not its own.
    small = model(published_mflops=None, paper_mflops=200.0, image_size=64)
    (drawn,) = tradeoffs(profile_of(small), [], ["LFW"])
    assert point(drawn, "PocketNetS-128").latency is None


def test_a_report_on_an_architecture_replaces_the_published_figure(lfw, model, profile_of) -> None:
    about = lfw.model.model_copy(
        update={"architecture": "pocketnet_s_128", "parameters": 925_632, "name": "trained"}
    )
    trained = lfw.model_copy(update={"model": about})
    (drawn,) = tradeoffs(profile_of(model()), [trained], [])
    assert point(drawn, "trained").measured
    assert point(drawn, "trained").latency == 8.0
    # The paper's own network is still there, as a paper's row.
    assert point(drawn, "PocketNetS-128").latency is None


def test_reports_of_others_are_refused(lfw, model, profile_of) -> None:
    with pytest.raises(RecipeError, match=r"mine on lfw .*fingerprint abc.*pocketnet_s_128"):
        tradeoffs(profile_of(model()), [lfw.model_copy()], [])
    with pytest.raises(RecipeError, match=r"figures on 'XYZ'.*LFW, CALFW"):
        tradeoffs(profile_of(model()), [], ["XYZ"])


def test_a_disturbed_clock_gives_way_to_the_processor(model, measurement, profile_of) -> None:
    calm = model(name="a", measurements=(measurement(8.0),))
    disturbed = model(name="b", measurements=(measurement(30.0, cpu=9.0),))
    (drawn,) = tradeoffs(profile_of(calm, disturbed), [], ["LFW"])
    assert drawn.timing == "onnxruntime, 1 thread, processor's time"
    latencies = sorted(p.latency for p in drawn.points if p.latency is not None)
    assert latencies == [8.0, 9.0] or latencies == [8.0]


def test_latencies_are_of_a_way_that_all_share(model, measurement, profile_of) -> None:
    both = model(measurements=(measurement(1.0, runtime="openvino"), measurement(2.0)))
    one = model(name="b", measurements=(measurement(3.0),))
    (drawn,) = tradeoffs(profile_of(both, one), [], ["LFW"])
    assert drawn.timing == "onnxruntime, 1 thread"
    apart = model(name="b", measurements=(measurement(3.0, threads=2),))
    (drawn,) = tradeoffs(profile_of(both, apart), [], ["LFW"])
    assert drawn.timing == ""
    assert all(each.latency is None for each in drawn.points)


def test_the_names_are_those_of_published_rows() -> None:
    assert set(NAMES.values()) <= {row.name for row in PUBLISHED}
    assert {name for name, _ in EXACT_MFLOPS} == set(NAMES)
    assert all(set(row.figures) <= set(COLUMNS) for row in BARS)


def test_every_cost_has_a_panel(lfw, file, model, profile_of) -> None:
    (drawn,) = tradeoffs(profile_of(file, model()), [lfw], [])
    picture = Image.open(io.BytesIO(tradeoff_png(drawn)))
    bare = tradeoffs(profile_of(), [], ["LFW"])[0]
    assert Image.open(io.BytesIO(tradeoff_png(bare))).height < picture.height


sides = st.floats(10, 190)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=8))
def test_names_do_no_more_harm_than_the_first_place(points) -> None:
    sizes = [(40.0, 8.0)] * len(points)
    frame = Box(0, 0, 200, 200)

    def overlaps(places) -> float:
        boxes = [p.box(*at, *size) for p, at, size in zip(places, points, sizes, strict=True)]
        among = sum(a.overlap(b) for i, a in enumerate(boxes) for b in boxes[:i])
        outside = sum(box.area - box.overlap(frame) for box in boxes)
        marks = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in points]
        return among + 3 * outside + 3 * sum(b.overlap(m) for b in boxes for m in marks)

    chosen = place_names(points, sizes, frame, 4.0)
    slack = 3 * len(PLACES) * len(points)  # what the order of preference may be worth
    assert overlaps(chosen) <= overlaps([PLACES[0]] * len(points)) + slack


def test_lone_names_stand_right_and_crowded_ones_make_room() -> None:
    frame = Box(0, 0, 300, 100)
    assert place_names([(100, 50)], [(60, 8)], frame, 4.0) == [PLACES[0]]
    (edge,) = place_names([(290, 50)], [(60, 8)], frame, 4.0)
    assert edge.horizontal == "right"
    points = [(100.0, 50.0), (120.0, 50.0), (110.0, 60.0)]
    places = place_names(points, [(60, 8)] * 3, frame, 4.0)
    line = [Box(106, 0, 112, 100)]
    (moved,) = place_names([(100, 50)], [(60, 8)], frame, 4.0, line)
    assert moved.horizontal == "right"
    boxes = [place.box(*at, 60, 8) for place, at in zip(places, points, strict=True)]
    assert all(a.overlap(b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])


def test_boxes_overlap_by_area() -> None:
    assert Box(0, 0, 4, 2).overlap(Box(3, 1, 9, 9)) == 1
    assert Box(0, 0, 4, 2).overlap(Box(4, 0, 9, 9)) == 0
    assert Box(0, 0, 4, 2).area == 8
