"""`evaluate` and `verify` as they are typed, from a network to the decision about two faces."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.report import read_report, read_scores
from pocketface.card import card_path, read_card
from pocketface.cli.main import app
from pocketface.embedding import load_embedder
from pocketface.errors import DataError, PocketFaceError, RecipeError, WeightsError

DESCRIPTION = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5,0.5,0.5"]


def call(*arguments):
    """Run the command; errors are raised as they are, `main` would print them."""
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    return outcome.exit_code, outcome.stdout, outcome.stderr


@pytest.fixture
def workplace(tmp_path, tiny_onnx, coarse_people, monkeypatch):
    """A network, 8 people, and all pairs of their images (336 of two people)."""
    monkeypatch.chdir(tmp_path)
    tiny_onnx(tmp_path / "tiny.onnx")
    faces = coarse_people(tmp_path / "faces", people=8, images=3, noise=25)
    images = sorted(path.relative_to(faces).as_posix() for path in faces.rglob("*.png"))
    pairs = [
        [a, b, int(a.split("/")[0] == b.split("/")[0])]
        for number, a in enumerate(images)
        for b in images[number + 1 :]
    ]
    pairs = [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))]
    (tmp_path / "all.json").write_text(json.dumps(pairs))
    return tmp_path


def evaluate(*more):
    return call("evaluate", "tiny.onnx", "all.json", "--images", "faces", "--replicates", 20, *more)


def test_from_foreign_weights_to_a_decision(workplace):
    code, out, _ = evaluate(*DESCRIPTION, "--write-card")
    assert code == 0
    assert "Accuracy" in out
    assert "pocketface verify" in out
    result = read_report(workplace / "runs" / "tiny-on-all" / "report.json", PairResult)
    card = read_card(workplace / "tiny.onnx")
    assert card is not None
    assert card.architecture == "foreign"
    assert card.embedding_size == 8
    assert [entry.far for entry in card.thresholds] == [0.01]
    assert card.thresholds[0].similarity == result.operating_points[0].similarity
    assert card.thresholds[0].flip

    one = "faces/Person_00/Person_00_0001.png"
    code, out, _ = call("verify", one, one, "--weights", "tiny.onnx", "--far", 0.01)
    assert code == 0
    assert out.startswith("same person: similarity 1.0000")
    assert "measured on all with 252 pairs" in out
    other = "faces/Person_03/Person_03_0001.png"
    code, out, _ = call("verify", one, other, "--weights", "tiny.onnx", "--far", "1e-2", "--json")
    assert code == 1
    answer = json.loads(out)
    assert answer["same"] is False
    assert answer["threshold"]["far"] == 0.01

    with pytest.raises(RecipeError, match=r"the card has: 0\.01"):
        call("verify", one, other, "--weights", "tiny.onnx")


def test_verify_decides_as_the_benchmark_did(workplace):
    """At the card's threshold, `verify` accepts exactly the TAR and FAR that were measured."""
    evaluate(*DESCRIPTION, "--write-card", "--no-flip")
    scores = read_scores(workplace / "runs" / "tiny-on-all" / "report.json")
    pairs = json.loads((workplace / "all.json").read_text())
    threshold = read_card(workplace / "tiny.onnx").thresholds[0]
    assert threshold.flip is False
    nearest = np.argsort(np.abs(scores - threshold.similarity))[:4]
    for pair in nearest:
        left, right, _ = pairs[pair]
        code, out, _ = call(
            "verify", f"faces/{left}", f"faces/{right}", "-w", "tiny.onnx", "--far", 0.01, "--json"
        )
        answer = json.loads(out)
        assert answer["flip"] is False
        assert answer["similarity"] == pytest.approx(scores[pair], abs=1e-6)
        assert code == (0 if scores[pair] >= threshold.similarity else 1)


def test_without_a_card_nothing_is_written_beside_the_weights(workplace):
    before = sorted(path.name for path in workplace.iterdir())
    code, out, _ = evaluate(*DESCRIPTION)
    assert code == 0
    assert "--write-card" in out
    assert sorted(path.name for path in workplace.iterdir()) == sorted([*before, "runs"])


def test_json_is_alone_on_standard_output(workplace):
    code, out, err = evaluate(*DESCRIPTION, "--json", "--out", "report")
    assert code == 0
    found = json.loads(out)
    assert found["benchmark"] == "all"
    assert found["kind"] == "pairs"
    assert "report.html" in err
    assert (workplace / "report" / "figures" / "roc.png").is_file()


def test_no_card_leaves_the_card_alone(workplace):
    evaluate(*DESCRIPTION, "--write-card")
    before = card_path(workplace / "tiny.onnx").read_bytes()
    code, out, _ = evaluate("--no-flip", "--no-card")
    assert code == 0
    assert "as asked" in out
    assert card_path(workplace / "tiny.onnx").read_bytes() == before
    evaluate("--no-flip")
    assert read_card(workplace / "tiny.onnx").thresholds[0].flip is False


def test_a_card_that_cannot_be_written_is_said_not_raised(workplace, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pocketface.card.write_card", refuse)
    code, out, _ = evaluate(*DESCRIPTION, "--write-card")
    assert code == 0
    assert "tiny.json cannot be written: Permission denied" in out


def test_a_report_folder_that_cannot_be_written_is_found_before_the_work(workplace, monkeypatch):
    (workplace / "taken").write_text("a file")
    monkeypatch.setattr(
        "pocketface.benchmarks.pair_benchmark.PairBenchmark.run",
        lambda *_, **__: pytest.fail("the work was done first"),
    )
    with pytest.raises(DataError, match=r"taken cannot be written.*--out"):
        evaluate(*DESCRIPTION, "--out", "taken")


def test_without_thresholds_verify_gives_the_similarity_and_the_way(workplace):
    one = "faces/Person_00/Person_00_0001.png"
    code, out, _ = call("verify", one, one, "-w", "tiny.onnx", *DESCRIPTION)
    assert code == 3
    assert "similarity 1.0000; no threshold is known" in out
    assert "pocketface evaluate tiny.onnx" in out
    code, out, _ = call("verify", one, one, "-w", "tiny.onnx", *DESCRIPTION, "--json")
    assert code == 3
    assert json.loads(out) == {
        "same": None,
        "similarity": pytest.approx(1.0),
        "flip": True,
        "probability": None,
        "threshold": None,
    }


def test_verify_names_a_file_that_is_no_face(workplace):
    (workplace / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    good = "faces/Person_00/Person_00_0001.png"
    for bad in ("broken.jpg", "missing.jpg", "faces"):
        with pytest.raises(DataError, match=bad):
            call("verify", good, bad, "-w", "tiny.onnx", *DESCRIPTION)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--size, --order, --mean and --std"),
        (DESCRIPTION[:6], "--std is missing"),
        (["--size", 32], "--order, --mean, --std is missing"),
        ([*DESCRIPTION[:2], "--order", "rbg", *DESCRIPTION[4:]], "rgb or bgr, got 'rbg'"),
        ([*DESCRIPTION[:4], "--mean", "127.5", "--std", "128"], "scale 0 to 1 .*0.50196"),
        ([*DESCRIPTION[:4], "--mean", "0.5,0.5", "--std", "0.5"], "one or three numbers"),
        ([*DESCRIPTION[:4], "--mean", "half", "--std", "0.5"], "one or three numbers"),
        ([*DESCRIPTION[:6], "--std", "0"], "within 0 .not included"),
        ([*DESCRIPTION[:6], "--std", "nan"], "within 0 .not included"),
        (["--size", 4, *DESCRIPTION[2:]], "--size 4: .*16"),
        (["--size", 64, *DESCRIPTION[2:]], "64 x 64 pixels"),
        ([*DESCRIPTION, "--architecture", "pocketnet_s_128"], "carries its own network"),
    ],
)
def test_descriptions_that_do_not_fit_say_what_to_give(workplace, options, message):
    with pytest.raises((RecipeError, WeightsError), match=message):
        evaluate(*options)
    assert not (workplace / "runs").exists()


def test_options_beside_a_card_are_refused(workplace):
    evaluate(*DESCRIPTION, "--write-card")
    with pytest.raises(PocketFaceError, match="has a card"):
        evaluate(*DESCRIPTION)
    assert load_embedder(workplace / "tiny.onnx").card is not None
