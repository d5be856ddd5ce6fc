"""Probabilities against brute force, what must hold of any data, and `calibrate` as it is typed."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from typer.testing import CliRunner

from pocketface.benchmarks.calibration import fit, held_out_loss, log_odds, probability
from pocketface.benchmarks.far_threshold import far_thresholds
from pocketface.benchmarks.people_pairs import pairs_of_people
from pocketface.benchmarks.thresholds import choose_threshold, with_calibration
from pocketface.card import Calibration, ModelCard, Threshold, read_card
from pocketface.cli.main import app
from pocketface.data import open_faces
from pocketface.errors import DataError, RecipeError, WeightsError


def draw(seed, genuine=60, impostors=140, decimals=3):
    rng = np.random.default_rng(seed)
    same = np.repeat([True, False], [genuine, impostors])
    scores = np.clip(np.where(same, 0.5, 0.1) + 0.2 * rng.standard_normal(len(same)), -1, 1)
    order = rng.permutation(len(same))
    return scores.round(decimals)[order], same[order]


def balanced_loss(odds, same, targets=None):
    targets = same.astype(float) if targets is None else targets
    each = np.logaddexp(0, odds) - targets * odds
    return (each[same].mean() + each[~same].mean()) / 2


@pytest.mark.parametrize("seed", range(3))
def test_the_logistic_map_is_the_most_likely_line(seed):
    scores, same = draw(seed)
    targets = np.where(same, 61 / 62, 1 / 142)
    best = minimize(
        lambda line: balanced_loss(line[0] * scores + line[1], same, targets),
        [1.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 5000},
    )
    found = log_odds(fit(scores, same, "logistic"), scores)
    np.testing.assert_allclose(found, best.x[0] * scores + best.x[1], atol=1e-4)


def loop_isotonic(scores, same):
    """Pool adjacent violators as the textbook has it: merge any falling neighbours, again."""
    blocks = []
    for score in sorted(set(scores)):
        here = scores == score
        part = (same & here).sum() / same.sum()
        whole = part + (~same & here).sum() / (~same).sum()
        blocks.append([part, whole, [score]])
    falling = True
    while falling:
        falling = False
        for number in range(len(blocks) - 1):
            first, second = blocks[number], blocks[number + 1]
            if first[0] / first[1] > second[0] / second[1]:
                merged = [first[0] + second[0], first[1] + second[1], first[2] + second[2]]
                blocks[number : number + 2] = [merged]
                falling = True
                break
    return {score: part / whole for part, whole, members in blocks for score in members}


@pytest.mark.parametrize(("seed", "decimals"), [(0, 3), (1, 1), (2, 2)])
def test_the_isotonic_map_is_the_pooled_one(seed, decimals):
    scores, same = draw(seed, decimals=decimals)
    expected = loop_isotonic(scores, same)
    found = 1 / (1 + np.exp(-log_odds(fit(scores, same, "isotonic"), scores)))
    wanted = [min(max(expected[score], 1 / 142), 61 / 62) for score in scores]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.floats(-1, 1, width=32), min_size=6, max_size=40),
    method=st.sampled_from(["logistic", "isotonic"]),
    seed=st.integers(0, 99),
)
def test_maps_rise_and_do_not_know_order_or_numbers(scores, method, seed):
    rng = np.random.default_rng(seed)
    similarity = np.array(scores)
    same = rng.random(len(scores)) < 0.5
    same[0], same[1] = True, False
    knots = fit(similarity, same, method)
    places = np.linspace(-1, 1, 81)
    odds = log_odds(knots, places)
    assert np.isfinite(odds).all()
    assert (np.diff(odds) >= -1e-9).all()
    order = rng.permutation(len(scores))
    shuffled = log_odds(fit(similarity[order], same[order], method), places)
    np.testing.assert_allclose(shuffled, odds, atol=1e-4)


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_more_pairs_of_one_kind_do_not_move_the_map(method):
    scores, same = draw(5, 1000, 1000)
    many = np.concatenate([scores, np.tile(scores[~same], 9)])
    truth = np.concatenate([same, np.zeros(9 * 1000, bool)])
    places = np.linspace(0, 0.6, 7)
    before = log_odds(fit(scores, same, method), places)
    np.testing.assert_allclose(log_odds(fit(many, truth, method), places), before, atol=0.05)


def test_kinds_that_do_not_overlap_have_a_finite_map():
    scores, same = np.array([0.9, 0.8, 0.1, 0.0]), np.array([True, True, False, False])
    for method in ("logistic", "isotonic"):
        odds = log_odds(fit(scores, same, method), scores)
        assert np.isfinite(odds).all()
        # Two pairs of a kind support no more than odds of three to one.
        np.testing.assert_allclose(odds[[0, 3]], [math.log(3), -math.log(3)], atol=0.35)


def test_one_kind_alone_is_refused():
    with pytest.raises(DataError, match="all 2 pairs are of one person"):
        fit(np.array([0.1, 0.2]), np.array([True, True]), "logistic")


def test_the_held_out_loss_is_that_of_a_loop():
    scores, same = draw(3)
    each = np.empty(200)
    for start in range(0, 200, 20):
        tested = np.arange(start, start + 20)
        rest = np.setdiff1d(np.arange(200), tested)
        odds = log_odds(fit(scores[rest], same[rest], "logistic"), scores[tested])
        each[tested] = [
            math.log1p(math.exp(-o if s else o)) for o, s in zip(odds, same[tested], strict=True)
        ]
    expected = (each[same].mean() + each[~same].mean()) / 2
    assert held_out_loss(scores, same, "logistic") == pytest.approx(expected, abs=1e-12)
    assert expected < 0.5 < math.log(2)


def calibration(**changes):
    about = {
        "benchmark": "own",
        "method": "logistic",
        "similarities": (-1.0, 1.0),
        "log_odds": (-4.0, 6.0),
        "genuine_pairs": 10,
        "impostor_pairs": 10,
        "flip": True,
    }
    return Calibration(**(about | changes))


def test_a_prior_multiplies_the_odds():
    even = probability(calibration(), 0.0)
    assert even == pytest.approx(1 / (1 + math.exp(-1)))
    rare = probability(calibration(), 0.0, prior=0.01)
    assert rare / (1 - rare) == pytest.approx(even / (1 - even) / 99)
    assert probability(calibration(), 2.0) == pytest.approx(1 / (1 + math.exp(-6)))


def test_thresholds_are_those_of_a_loop_and_their_interval_covers_them():
    scores, same = draw(7, 300, 700)
    people = np.random.default_rng(0).integers(0, 60, (2, 1000))
    people[1] = np.where(same, people[0], (people[0] + 1) % 60)
    found = far_thresholds(
        scores, same, [0.1, 0.01], (people[0], people[1]), replicates=200, seed=0
    )
    for entry in found:
        allowed = [t for t in scores if (scores[~same] >= t).mean() <= entry.far]
        assert (scores >= entry.similarity).tolist() == (scores >= min(allowed)).tolist()
        assert entry.measured_far == (scores[~same] >= entry.similarity).mean()
        assert entry.tar == (scores[same] >= entry.similarity).mean()
        low, high = entry.ends
        assert low <= entry.similarity <= high
        assert high - low > 0.01
    assert found[0].warning is None
    assert "FAR x pairs = 7" in found[1].warning
    nobody = far_thresholds(scores, same, [0.1], None, replicates=50, seed=0)[0]
    assert nobody.similarity == found[0].similarity
    assert far_thresholds(scores, same, [0.1], None, replicates=0, seed=0)[0].ends is None
    with pytest.raises(DataError, match=r"at least 10,000 pairs .* these are 700"):
        far_thresholds(scores, same, [1e-4], None, replicates=0, seed=0)
    with pytest.raises(DataError, match="similarity 1"):
        far_thresholds(np.ones(1000), same, [0.1], None, replicates=0, seed=0)


def test_pairs_of_people_are_all_pairs_once(tmp_path, coarse_people):
    faces = open_faces(coarse_people(tmp_path / "faces", people=5, images=4))
    made = pairs_of_people(faces, np.random.default_rng(0))
    pairs, people = made.pairs, made.people
    assert len(pairs) == 20 * 19 // 2
    assert int(pairs.same.sum()) == 5 * 6
    assert ((people[pairs.left] == people[pairs.right]) == pairs.same).all()
    sides = {tuple(sorted(pair)) for pair in zip(pairs.left, pairs.right, strict=True)}
    assert len(sides) == len(pairs)
    assert pairs.same[:30].any()
    assert not pairs.same[:30].all()  # in no order
    assert pairs.pixels(0).shape == (32, 32, 3)
    few = pairs_of_people(faces, np.random.default_rng(0), images_per_person=2, impostor_pairs=7)
    assert int(few.pairs.same.sum()) == 5
    assert int((~few.pairs.same).sum()) == 7
    drawn = pairs_of_people(faces, np.random.default_rng(1), impostor_pairs=20).pairs
    assert int((~drawn.same).sum()) == 20
    sides = {tuple(sorted(pair)) for pair in zip(drawn.left, drawn.right, strict=True)}
    assert len(sides) == len(drawn)


def test_too_few_people_make_no_pairs(tmp_path, coarse_people):
    faces = open_faces(coarse_people(tmp_path / "one", people=1, images=4))
    with pytest.raises(DataError, match="at least two people"):
        pairs_of_people(faces, np.random.default_rng(0))


def card(thresholds=()):
    return ModelCard(
        architecture="foreign", embedding_size=8, sha256="0" * 64, thresholds=list(thresholds)
    )


def threshold(benchmark, impostors, *, calibrated=False):
    return Threshold(
        benchmark=benchmark,
        far=1e-3,
        measured_far=1e-3,
        tar=0.9,
        similarity=0.3,
        calibrated=calibrated,
        impostor_pairs=impostors,
        flip=True,
    )


def test_a_calibrated_threshold_goes_first_and_replaces_the_last_one():
    evaluated = threshold("lfw", 3000)
    before = card([evaluated, threshold("old", 50, calibrated=True)])
    after = with_calibration(before, [threshold("own", 100, calibrated=True)], calibration())
    assert [entry.benchmark for entry in after.thresholds] == ["lfw", "own"]
    assert choose_threshold(after, 1e-3).benchmark == "own"
    assert choose_threshold(card([evaluated]), 1e-3).benchmark == "lfw"


def test_cards_from_before_are_read(tmp_path):
    old = json.loads(card([threshold("lfw", 3000)]).model_dump_json())
    del old["calibration"], old["thresholds"][0]["calibrated"]
    del old["thresholds"][0]["similarity_interval"]
    found = ModelCard.model_validate(old)
    assert found.calibration is None
    assert not found.thresholds[0].calibrated


DESCRIPTION = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5,0.5,0.5"]


def call(*arguments):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    return outcome.exit_code, outcome.stdout


@pytest.fixture
def workplace(tmp_path, tiny_onnx, coarse_people, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_onnx(tmp_path / "tiny.onnx")
    coarse_people(tmp_path / "faces", people=10, images=3, noise=35)
    return tmp_path


def test_from_a_folder_of_people_to_a_probability(workplace):
    options = ("--people", "faces", "--far", "0.1", "--far", "0.02", "--replicates", 50)
    with pytest.raises(WeightsError, match="--write-card"):
        call("calibrate", "tiny.onnx", *options, *DESCRIPTION)
    code, out = call("calibrate", "tiny.onnx", *options, *DESCRIPTION, "--write-card")
    assert code == 0
    assert "435 pairs of faces (30 of one person, 405 of two)" in out
    assert "Warning: TAR at FAR 0.02 rests on" in out
    made = read_card(workplace / "tiny.onnx")
    assert made.calibration.method == "logistic"
    assert [entry.far for entry in made.thresholds] == [0.1, 0.02]
    low, high = made.thresholds[0].similarity_interval
    assert low <= made.thresholds[0].similarity <= high
    one, again = "faces/Person_00/Person_00_0001.png", "faces/Person_00/Person_00_0002.png"
    other = "faces/Person_05/Person_05_0001.png"
    likely = {}
    for second in (one, again, other):
        _, out = call("verify", one, second, "-w", "tiny.onnx", "--far", 0.1, "--json")
        answer = json.loads(out)
        likely[second] = answer["probability"]
        assert answer["probability"] == pytest.approx(
            probability(made.calibration, answer["similarity"])
        )
    assert likely[one] > likely[again] > likely[other]
    _, out = call("verify", one, one, "-w", "tiny.onnx", "--far", 0.1, "--prior", "0.001")
    assert "Probability of one person:" in out
    assert "(logistic, learnt on faces; 0.001 beforehand)" in out
    with pytest.raises(RecipeError, match="--prior must lie between"):
        call("verify", one, one, "-w", "tiny.onnx", "--prior", "1")


def test_calibrating_on_pairs_as_json(workplace):
    faces = workplace / "faces"
    names = [path.relative_to(faces).as_posix() for path in sorted(faces.glob("*/*"))]
    pairs = [[a, b, int(a[:9] == b[:9])] for i, a in enumerate(names) for b in names[i + 1 :]]
    order = np.random.default_rng(0).permutation(len(pairs))
    (workplace / "all.json").write_text(json.dumps([pairs[i] for i in order]))
    code, out = call(
        "calibrate", "tiny.onnx", "--benchmark", "all.json", "--images", "faces", "--far", "0.05",
        "--method", "isotonic", "--no-flip", "--json", "--write-card", *DESCRIPTION,
    )  # fmt: skip
    assert code == 0
    answer = json.loads(out)
    assert answer["calibration"]["method"] == "isotonic"
    assert answer["calibration"]["flip"] is False
    assert 0 < answer["held_out_log_loss"] < 0.69
    assert answer["thresholds"][0]["calibrated"] is True
    assert read_card(workplace / "tiny.onnx").calibration.log_odds == tuple(
        answer["calibration"]["log_odds"]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --benchmark FILE"),
        (["--people", "faces", "--benchmark", "x.bin"], "either --benchmark FILE"),
        (["--people", "faces", "--far", "0"], "--far must lie between 0 and 1, got 0"),
        (["--people", "faces", "--far", "1e-5"], "at least 100,000 pairs"),
        (["--people", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_calibrated_leaves_no_card(workplace, options, message):
    with pytest.raises((RecipeError, DataError), match=message):
        call("calibrate", "tiny.onnx", *options, *DESCRIPTION, "--write-card")
    assert read_card(workplace / "tiny.onnx") is None
