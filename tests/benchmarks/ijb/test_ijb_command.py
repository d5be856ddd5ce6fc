"""`pocketface evaluate` on IJB as it is typed."""

import json

import pytest
from typer.testing import CliRunner

from pocketface.benchmarks.ijb import IjbResult
from pocketface.benchmarks.report import read_report
from pocketface.cli.main import app
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.errors import DataError, RecipeError, StoppedError

DESCRIPTION = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5"]


def call(*arguments):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.stdout, outcome.stderr


def evaluate(*more, weights="tiny.onnx", replicates=20):
    return call("evaluate", weights, "set", *DESCRIPTION, "--replicates", replicates, *more)


@pytest.fixture
def workplace(tmp_path, tiny_onnx, ijb_set, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_onnx(tmp_path / "tiny.onnx")
    tiny_onnx(tmp_path / "other.onnx", bias=3.0)
    ijb_set("ijbb")
    return tmp_path


def result_of(folder):
    return read_report(folder / "report.json", IjbResult)


def counting(result):
    faces = result.verification_faces, result.identification.faces
    return [(f.keep_norm, f.detector_score) for f in faces], result.flip


def test_from_a_folder_to_a_report(workplace):
    out, _ = evaluate()
    assert "TAR at FAR 0.0001" in out
    assert "TPIR at FPIR 0.01" in out
    assert "Warning: TAR at FAR 1e-06 rests on" in out
    folder = workplace / "runs" / "tiny-on-set"
    assert f"Report: {folder.relative_to(workplace)}/report.html" in out
    result = result_of(folder)
    assert (result.benchmark, result.protocol, result.model.name) == ("set", "ijbb", "tiny")
    assert counting(result) == ([(True, True), (False, True)], True)
    assert (folder / "figures" / "tpir.png").is_file()
    assert (folder / "embeddings" / "embeddings.npy").is_file()
    out, err = evaluate("--json", "--out", "again")
    assert json.loads(out)["kind"] == "ijb"
    assert "report.html" in err
    table, _ = call("table", "again", "--no-published")
    tar = result.verification[2].tar.value
    assert f"| tiny | - | - | {100 * tar:.2f} |" in table


def test_how_faces_count_can_be_chosen(workplace):
    def counted(*options, out):
        evaluate(*options, "--out", out, replicates=0)
        return counting(result_of(workplace / out))

    options = "--no-keep-norm", "--detector-score", "--no-flip"
    assert counted(*options, out="a") == ([(False, True), (False, True)], False)
    options = "--keep-norm", "--no-detector-score"
    assert counted(*options, out="b") == ([(True, False), (True, False)], True)
    help_text, _ = call("evaluate", "--help")
    assert "IJB-B, IJB-C" in help_text
    with pytest.raises(RecipeError, match="--keep-norm and --detector-score are for IJB-B"):
        call("evaluate", "tiny.onnx", "pairs.json", "--no-detector-score")


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(workplace, monkeypatch):
    evaluate("--out", "whole")
    embed, images = OnnxEmbedder.embed, []

    def stopping(self, batch):
        images.append(len(batch))
        if sum(images) > 300:
            raise KeyboardInterrupt
        return embed(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxEmbedder, "embed", stopping)
        with pytest.raises(StoppedError, match=r"kept in stopped/embeddings\. Run the same comm"):
            evaluate("--out", "stopped")
    assert not (workplace / "stopped" / "report.json").exists()
    evaluate("--out", "stopped")
    names = ("embeddings/embeddings.npy", "figures/roc.png", "replicates.npz", "table.md")
    for name in names:
        assert (workplace / "stopped" / name).read_bytes() == (
            workplace / "whole" / name
        ).read_bytes()
    same = {"embedding_seconds": 0.0}
    first, second = (result_of(workplace / name) for name in ("whole", "stopped"))
    assert first.model_copy(update=same) == second.model_copy(update=same)


def test_two_networks_are_compared_in_pairs(workplace):
    evaluate("--out", "first")
    out, _ = evaluate("--out", "second", "--against", "first/report.json", weights="other.onnx")
    assert "Against tiny" in out
    found = json.loads((workplace / "second" / "comparison.json").read_text())
    ours, theirs = (result_of(workplace / name).figures() for name in ("second", "first"))
    assert (found["first"], found["second"], found["drawn"]) == ("other", "tiny", "identities")
    assert [entry["figure"] for entry in found["differences"]] == list(ours)
    for entry in found["differences"]:
        name = entry["figure"]
        wanted = ours[name].value - theirs[name].value
        difference = entry["difference"]
        assert difference["value"] == pytest.approx(wanted)
        assert difference["low"] <= difference["high"]
    assert any(entry["difference"]["value"] for entry in found["differences"])
    assert "Against tiny" in (workplace / "second" / "report.html").read_text()


def test_a_comparison_with_another_set_or_other_draws_is_refused(workplace, ijb_set):
    evaluate("--out", "first")
    with pytest.raises(RecipeError, match="made with --replicates 20 --seed 0, this run has"):
        evaluate("--out", "second", "--against", "first/report.json", replicates=30)
    ijb_set("ijbc", at="elsewhere")
    with pytest.raises(DataError, match="measured on different sets"):
        call(
            *("evaluate", "other.onnx", "elsewhere", *DESCRIPTION, "--replicates", 20),
            *("--out", "second", "--against", "first/report.json"),
        )
    assert (workplace / "second" / "report.json").is_file()  # the work is not lost


def test_landmarks_that_do_not_fit_are_said_before_and_after_the_work(workplace):
    path = workplace / "set" / "meta" / "ijbb_name_5pts_score.txt"
    rows = [line.split() for line in path.read_text().splitlines()]
    rows = [[name, c, d, a, b, *rest] for name, a, b, c, d, *rest in rows]
    path.write_text("".join(f"{' '.join(row)}\n" for row in rows))
    out, err = evaluate()
    assert "Warning: the landmarks do not fit the 112 x 112 template" in err
    assert "Warning: the landmarks do not fit the 112 x 112 template" in out


def test_a_broken_set_leaves_no_report(workplace):
    pairs = workplace / "set" / "meta" / "ijbb_template_pair_label.txt"
    pairs.write_text(pairs.read_text() + pairs.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="stands in line 1 already"):
        evaluate()
    assert list((workplace / "runs" / "tiny-on-set").iterdir()) == []
    with pytest.raises(DataError, match="holds its own images"):
        evaluate("--images", "set")
    with pytest.raises(RecipeError, match="--check-preprocessing needs pairs"):
        evaluate("--check-preprocessing")
