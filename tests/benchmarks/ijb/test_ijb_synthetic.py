"""From `pocketface data synth` to `pocketface evaluate`, with the real renderer."""

import pytest
from typer.testing import CliRunner

from pocketface.benchmarks.ijb import IjbResult
from pocketface.benchmarks.report import read_report
from pocketface.cli.main import app

DESCRIPTION = ["--size", "112", "--order", "rgb", "--mean", "0.5", "--std", "0.5"]


def call(*arguments):
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.stdout


@pytest.mark.slow
def test_synthetic_people_are_measured_in_both_sets(tmp_path, tiny_onnx, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_onnx(tmp_path / "tiny.onnx", size=112, dimension=32)
    call("data", "synth", "people", "--only", "ijbb,ijbc", "--scale", "0.06", "--workers", "1")
    for name in ("IJBB", "IJBC"):
        out = call("evaluate", "tiny.onnx", f"people/{name}", *DESCRIPTION, "--replicates", "100")
        assert "TPIR at FPIR 0.1" in out
        folder = tmp_path / "runs" / f"tiny-on-{name}"
        result = read_report(folder / "report.json", IjbResult)
        assert (result.protocol, result.templates, result.identities) == (name.lower(), 60, 12)
        assert result.warnings == ()  # the landmarks fit the template
        # A coarse look at the pixels tells people apart a little: better than chance.
        tar = result.verification[-1].tar
        assert tar.low is not None
        assert 0.12 < tar.value < 0.9
        assert result.identification is not None
        assert result.identification.ranks[0].rate.value > 1.5 / 6
        assert (folder / "report.html").stat().st_size > 100_000
