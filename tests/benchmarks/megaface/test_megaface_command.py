"""`pocketface evaluate` on MegaFace as it is typed, of a network and of features."""

import json

import pytest
from typer.testing import CliRunner

from browser import look
from pocketface.benchmarks.megaface import MegafaceResult
from pocketface.benchmarks.report import read_report
from pocketface.cli.main import app
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.errors import DataError, RecipeError, StoppedError

DESCRIPTION = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5"]


def call(*arguments):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.stdout, outcome.stderr


def evaluate(*more, weights="tiny.onnx", folder="set", replicates=20):
    description = () if weights == "features" else DESCRIPTION
    return call("evaluate", weights, folder, *description, "--replicates", replicates, *more)


@pytest.fixture
def workplace(tmp_path, tiny_onnx, megaface_set, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_onnx(tmp_path / "tiny.onnx")
    tiny_onnx(tmp_path / "other.onnx", bias=3.0)
    megaface_set()
    return tmp_path


def result_of(folder):
    return read_report(folder / "report.json", MegafaceResult)


def test_from_a_network_to_a_report_and_from_its_features_to_the_same(workplace):
    out, _ = evaluate("--save-features", "features")
    assert "Rank 1, 800" in out
    assert "Warning: TAR at FAR 0.0001 rests on" in out
    folder = workplace / "runs" / "tiny-on-set"
    assert f"Report: {folder.relative_to(workplace)}/report.html" in out
    result = result_of(folder)
    assert (result.kind, result.benchmark, result.model.name) == ("megaface", "set", "tiny")
    assert [protocol.name for protocol in result.protocols] == ["raw", "refined"]
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {"cmc.png", "distractors.png", "roc.png", "det.png"}
    for name in ("report.md", "table.md", "table.tex", "replicates.npz"):
        assert (folder / name).is_file()
    assert (folder / "embeddings" / "megaface.npy").is_file()
    features = list((workplace / "features").rglob("*_tiny.bin"))
    assert len(features) == 880

    out, err = evaluate("--json", "--out", "again", weights="features")
    assert "report.html" in err
    again = MegafaceResult.model_validate_json(out)
    assert again == result_of(workplace / "again")
    assert again.protocols == result.protocols
    assert (again.data, again.flip, again.model.name) == (result.data, None, "features")

    with pytest.raises(DataError, match="features is there already"):
        evaluate("--save-features", "features", "--out", "third")
    assert not (workplace / "third" / "embeddings").exists()


def test_options_of_the_protocol(workplace):
    evaluate("--no-flip", "--save-features", "features", replicates=0)
    result = result_of(workplace / "runs" / "tiny-on-set")
    assert result.flip is False
    assert result.intervals is None
    assert not (workplace / "runs" / "tiny-on-set" / "replicates.npz").exists()
    with pytest.raises(DataError, match="it has the sets 1"):
        evaluate("--distractor-set", 2, "--out", "b")
    for path in list((workplace / "features" / "facescrub").rglob("*.bin"))[:4]:
        path.unlink()
    with pytest.raises(DataError, match=r"4 of 80 probes are missing.*--missing-limit"):
        evaluate("--out", "c", weights="features")
    out, _ = evaluate("--out", "c", "--missing-limit", "0.05", weights="features")
    assert "Warning: 4 probes and 0 distractors of the lists are missing" in out
    with pytest.raises(DataError, match="80 of 80 probes are missing"):
        evaluate("--out", "d", "--algorithm", "absent", weights="features")
    help_text, _ = call("evaluate", "--help")
    for option in ("--distractor-set", "--missing-limit", "--save-features", "--algorithm"):
        assert option in help_text


def test_two_networks_are_compared_in_pairs(workplace):
    evaluate("--out", "first")
    out, _ = evaluate("--out", "second", "--against", "first/report.json", weights="other.onnx")
    assert "Against tiny" in out
    found = json.loads((workplace / "second" / "comparison.json").read_text())
    assert (found["first"], found["second"], found["drawn"]) == ("other", "tiny", "people")
    ours, theirs = (result_of(workplace / name).protocols for name in ("second", "first"))
    wanted = {
        f"Rank 1, 800 distractors, {a.name}": a.cmc[-1].rates[0].value - b.cmc[-1].rates[0].value
        for a, b in zip(ours, theirs, strict=True)
    }
    differences = {entry["figure"]: entry["difference"] for entry in found["differences"]}
    assert set(wanted) < set(differences)
    for name, value in wanted.items():
        assert differences[name]["value"] == pytest.approx(value)
    assert any(entry["value"] for entry in differences.values())


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(workplace, monkeypatch):
    evaluate("--out", "whole")
    embed, images = OnnxEmbedder.embed, []

    def stopping(self, batch):
        images.append(len(batch))
        if sum(images) > 600:
            raise KeyboardInterrupt
        return embed(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxEmbedder, "embed", stopping)
        with pytest.raises(StoppedError, match=r"kept in stopped/embeddings\. Run the same comm"):
            evaluate("--out", "stopped")
    assert not (workplace / "stopped" / "report.json").exists()
    evaluate("--out", "stopped")
    for name in ("embeddings/megaface.npy", "figures/roc.png", "replicates.npz", "table.md"):
        assert (workplace / "stopped" / name).read_bytes() == (
            workplace / "whole" / name
        ).read_bytes()


def test_what_does_not_fit_together_is_refused(workplace):
    with pytest.raises(DataError, match="holds its own images"):
        evaluate("--images", "set")
    with pytest.raises(RecipeError, match="--check-preprocessing needs pairs"):
        evaluate("--check-preprocessing")
    (workplace / "empty").mkdir()
    with pytest.raises(DataError, match="no feature of any listed image"):
        call("evaluate", "empty", "set", "--out", "x")
    assert not (workplace / "x" / "report.json").exists()


def test_the_page_in_a_browser(workplace):
    evaluate("--out", "report")
    page = workplace / "report" / "report.html"
    for width in (1100, 420):
        seen = look(page, workplace, width)
        assert seen.images == 4 + 2 * 16
        assert seen.broken == 0
        assert seen.overflow == 0
