import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trained_networks import need
from typer.testing import CliRunner

from pocketface.cli.main import app, main
from pocketface.cli.weights_file import WEIGHTS_FILE
from pocketface.deploy import TARGETS, ExportOptions, export_network
from pocketface.deploy.targets import Exporter, Target, find_target
from pocketface.embedding.load import SUFFIXES
from pocketface.errors import ExportError, RecipeError


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_a_row_says_what_its_module_does(target: Target) -> None:
    need(target.name)
    module = importlib.import_module(target.module)
    for name in ("build", "open_file"):
        wanted = list(inspect.signature(getattr(Exporter, name)).parameters)[1:]
        assert list(inspect.signature(getattr(module, name)).parameters) == wanted
    assert set(target.options) <= set(vars(ExportOptions()))
    assert target.suffix in SUFFIXES  # what is written can be loaded
    assert TARGETS[target.name] is find_target(target.name) is target


def test_the_commands_help_names_every_ending() -> None:
    named = WEIGHTS_FILE.replace(",", "").split()
    assert [word for word in named if word.startswith(".")] == list(SUFFIXES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onx", "there is no target 'onx'. Did you mean 'onnx'?"),
        ("OpenVINO", "Did you mean 'openvino'?"),
        ("openvno", "Did you mean 'openvino'?"),
        ("zzz", "there is no target 'zzz'. Targets: onnx, openvino"),
    ],
)
def test_an_unknown_target_is_answered_with_the_nearest(name, message) -> None:
    with pytest.raises(RecipeError) as caught:
        find_target(name)
    assert message in str(caught.value)


def test_an_option_that_a_target_does_not_know_is_refused(source, tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"openvino has no option 'opset'; it knows input, out"):
        export_network(
            source("iresnet"),
            tmp_path / "m.xml",
            generator=np.random.default_rng(0),
            target="openvino",
            options=ExportOptions(opset=19),
        )


def test_the_ending_is_the_targets(source, tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"must end in \.xml for the target openvino, got .*m\.o"):
        export_network(
            source("iresnet"),
            tmp_path / "m.onnx",
            generator=np.random.default_rng(0),
            target="openvino",
        )


def test_what_falls_under_a_targets_own_bounds_is_refused(
    source, instant, tmp_path, monkeypatch
) -> None:
    """Bounds are the target's: those of 'onnx' drawn tighter than float32 can be."""
    strict = Target(**{**vars(TARGETS["onnx"]), "least_cosine": 1.0, "most_relative": 0.0})
    monkeypatch.setitem(TARGETS, "onnx", strict)
    with pytest.raises(ExportError, match=r"at least 1\.000000 is allowed.*at most 0\)"):
        export_network(source("iresnet"), tmp_path / "m.onnx", generator=np.random.default_rng(0))
    assert not list(tmp_path.iterdir())


def test_a_companion_is_not_overwritten_unasked(source, tmp_path) -> None:
    (tmp_path / "m.bin").write_text("something of the user's")
    with pytest.raises(RecipeError, match=r"m\.bin would be replaced"):
        export_network(
            source("iresnet"),
            tmp_path / "m.xml",
            generator=np.random.default_rng(0),
            target="openvino",
        )


def test_two_formats_do_not_share_a_card(source, exported, tmp_path) -> None:
    """The card is of one file: the other's sha256 would be missing from it."""
    for path in (exported("iresnet").path, exported("iresnet").path.with_suffix(".json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(RecipeError, match=r"is the card of .*model\.onnx; .*model_export\.xml"):
        export_network(
            source("iresnet"),
            tmp_path / "model.xml",
            generator=np.random.default_rng(0),
            target="openvino",
            overwrite=True,
        )


@pytest.mark.parametrize("option", ["--targets", "--list"])
def test_the_table_is_printed_without_anything_else(option) -> None:
    outcome = CliRunner().invoke(app, ["export", option], catch_exceptions=False)
    assert outcome.exit_code == 0
    for target in TARGETS.values():
        (line,) = (t for t in outcome.stdout.splitlines() if t.startswith(f"{target.name} "))
        assert target.runtime in line
        assert target.suffix in line
        assert ",".join(target.extras) in line


def test_the_table_needs_nothing_of_what_the_targets_need() -> None:
    code = (
        "import sys\n"
        "names = ('torch', 'onnx', 'openvino', 'ncnn', 'pnnx', 'ai_edge_litert', 'executorch')\n"
        "for name in names: sys.modules[name] = None\n"
        "sys.argv = ['pocketface', 'export', '--targets']\n"
        "from pocketface.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "openvino" in done.stdout


def test_the_command_names_the_nearest_target(source, monkeypatch, tmp_path, capsys) -> None:
    words = ["export", str(source("iresnet")), str(tmp_path / "m.onnx"), "--target", "onnxx"]
    monkeypatch.setattr("sys.argv", ["pocketface", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "Did you mean 'onnx'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("folder", "is a folder; give the .safetensors file in it"),
        ("text.safetensors", "describes a file with sha256"),
        ("foreign.onnx", "ends in '.onnx'; a network is exported from a .safetensors file"),
        ("face.png", "ends in '.png'"),
        ("missing.safetensors", "There is no weights file"),
    ],
)
def test_a_wrong_source_is_one_clear_message(
    source, tiny_onnx, tmp_path, monkeypatch, capsys, weights, message
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.safetensors").write_text("hello")
    card = source("iresnet").with_suffix(".json").read_text()
    (tmp_path / "text.json").write_text(card)
    tiny_onnx(tmp_path / "foreign.onnx")
    (tmp_path / "face.png").write_bytes(b"\x89PNG")
    words = ["export", str(tmp_path / weights), str(tmp_path / "new" / "m.onnx")]
    monkeypatch.setattr("sys.argv", ["pocketface", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert message in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "new").exists()


def test_a_target_writes_where_it_is_told(source, tmp_path) -> None:
    """The module of a target writes the file and its companions, and nothing else."""
    pytest.importorskip("openvino")
    done = export_network(
        source("iresnet"),
        tmp_path / "deep" / "m.xml",
        generator=np.random.default_rng(0),
        target="openvino",
    )
    assert {path.name for path in Path(done.path.parent).iterdir()} == {"m.xml", "m.bin", "m.json"}
