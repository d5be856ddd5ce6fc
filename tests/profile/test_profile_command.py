"""`pocketface profile` as a user meets it; no latency is judged, only what is said of it."""

import json

import pytest
from typer.testing import CliRunner

from pocketface.cli.main import app, main
from pocketface.profile import measure, primitives
from pocketface.profile.folder import read_profile
from pocketface.profile.latency_table import read_latency_table
from pocketface.profile.machine import BUSY
from pocketface.profile.text import LEGEND, facts, latency_table, markdown, short


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def exit_code(*words: object) -> int | str | None:
    """How the command ends, errors printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pocketface", "profile", *map(str, words)])
        patch.setenv("COLUMNS", "1000")
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code


def refused(capsys, *words: object) -> str:
    assert exit_code(*words) == 2
    return capsys.readouterr().err


@pytest.fixture
def quick(monkeypatch):
    """Turns without a process: 8 ms a run."""

    class Worker:
        def __init__(self, job) -> None:
            self.job = job
            self.opened = measure_opened()

        def __enter__(self):
            return self

        def __exit__(self, *raised: object) -> None:
            return

        def turn(self):
            from pocketface.profile.turns import Run

            return [Run(8e-3, 8e-3)] * 3

    def measure_opened():
        from pocketface.profile.worker import Opened

        return Opened(load_seconds=0.1, peak_memory=20_000_000)

    monkeypatch.setattr(measure, "Worker", Worker)
    return Worker


def test_it_measures_a_file_and_leaves_a_folder(tiny_onnx, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path, out = tiny_onnx(tmp_path / "tiny.onnx"), tmp_path / "out"
    words = ("--runtime", "onnxruntime", "--seconds", 0, "--layers", "--out", out)
    done = run("profile", path, *words)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tiny: 392 parameters, 0.0 M MACs in the file, 0.00 MB; images of")
    assert lines[2].split()[:3] == ["runtime", "T", "B"]
    assert lines[3].split()[:3] == ["onnxruntime", "1", "1"]
    assert max(map(len, lines[:-1])) <= 80
    assert "average pool" in done.stdout
    profile = read_profile(out / "profile.json")
    (model,) = profile.models
    assert (model.macs, model.counted, model.paper_mflops) == (384, "file", None)
    assert [m.runtime for m in model.measurements] == ["onnxruntime"]
    assert model.layers is not None
    names = sorted(str(each.relative_to(out)) for each in out.rglob("*") if each.is_file())
    assert names == [
        "figures/latency.png", "figures/layers.png", "profile.html", "profile.json", "profile.md",
    ]  # fmt: skip
    page = (out / "profile.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "<td>average pool</td>" in page


def test_json_is_the_profile(quick, small_weights) -> None:
    words = ("--runtime", "onnxruntime", "--threads", 1, "--threads", 2, "--batch", 1, "--batch", 4)
    done = run("profile", small_weights, *words, "--json")
    content = json.loads(done.stdout)
    assert content["kind"] == "profile"
    (model,) = content["models"]
    ways = [(m["runtime"], m["threads"], m["batch"]) for m in model["measurements"]]
    assert ways == [("onnxruntime", t, b) for t in (1, 2) for b in (1, 4)]
    medians = [m["latency"]["median"] for m in model["measurements"]]
    assert medians == pytest.approx([8.0, 2.0, 8.0, 2.0])
    assert model["counted"] == "network"


def test_ctrl_c_leaves_what_is_measured(quick, small_weights, tmp_path, monkeypatch) -> None:
    calls = []
    turn = quick.turn

    def interrupted(self):
        calls.append(self.job.threads)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return turn(self)

    monkeypatch.setattr(quick, "turn", interrupted)
    out = tmp_path / "out"
    words = ("--runtime", "onnxruntime", "--threads", 1, "--threads", 2, "--out", out)
    assert exit_code(small_weights, *words) == 130
    profile = read_profile(out / "profile.json")
    assert profile.stopped
    assert [m.threads for m in profile.models[0].measurements] == calls[:1]
    assert any("Stopped by Ctrl-C" in text for text in profile.warnings())


def test_what_a_runtime_cannot_take_is_told(quick, tiny_onnx, tmp_path) -> None:
    path = tiny_onnx(tmp_path / "tiny.onnx", batch=4)
    words = ("--runtime", "torch", "--runtime", "onnxruntime", "--batch", 1, "--batch", 4)
    done = run("profile", path, *words, "--json")
    (model,) = json.loads(done.stdout)["models"]
    assert [m["batch"] for m in model["measurements"]] == [4]
    assert model["notes"] == [
        "torch runs weights files, not ONNX files.",
        "The file takes 4 image(s) at once, not 1.",
    ]


def test_the_tradeoff_is_drawn_for_published_networks(quick, small_weights, tmp_path) -> None:
    words = ("--runtime", "onnxruntime", "--tradeoff", "LFW", "--out", tmp_path / "out")
    assert run("profile", small_weights, *words).exit_code == 0
    assert (tmp_path / "out" / "figures" / "tradeoff_LFW.png").is_file()


def test_options_that_do_not_fit_are_refused(capsys, tiny_onnx, tmp_path) -> None:
    path = tiny_onnx(tmp_path / "tiny.onnx")
    assert "Say what to profile" in refused(capsys)
    assert "say where with --out" in refused(capsys, path, "--tradeoff", "LFW")
    assert "belong to --primitives" in refused(capsys, path, "--sizes", "56")
    assert "Unknown runtime 'tvm'" in refused(capsys, path, "--runtime", "tvm")
    assert "cannot be read" in refused(capsys, path, "--predict", tmp_path / "absent.json")
    table = tmp_path / "t.json"
    words = ("--primitives", table)
    assert "--layers has no meaning" in refused(capsys, *words, "--layers")
    assert "one --runtime and one --threads" in refused(
        capsys, *words, "--threads", 1, "--threads", 2
    )
    assert "not both" in refused(capsys, "pocketnet_nano", *words, "--sizes", "8")
    assert "mobilenet_v1 has no primitives" in refused(capsys, "mobilenet_v1", *words)
    assert "got '8,x'" in refused(capsys, *words, "--sizes", "8,x")
    assert "must be even, got 7" in refused(capsys, *words, "--widths", "8,7")
    assert ".json file, got" in refused(capsys, "--primitives", tmp_path)


def test_primitives_are_measured_once_and_added_to(tmp_path, monkeypatch) -> None:
    timed = []

    class Timer:
        def __init__(self, device, generator) -> None:
            self.device = device

        def __call__(self, piece, seconds):
            timed.append(piece)
            return [10.0] * 6

    monkeypatch.setattr(primitives, "LadderTimer", Timer)
    path = tmp_path / "device.json"
    words = ("profile", "--primitives", path, "--widths", 8)
    assert run(*words, "--sizes", "8,4").exit_code == 0
    first = list(timed)
    table = read_latency_table(path)
    assert [entry.piece for entry in table.entries] == first
    assert (table.runtime, table.threads, table.clock) == ("onnxruntime", 1, "cpu")
    timed.clear()
    again = "".join(run(*words, "--sizes", "8,4").stdout.split())  # a long path is broken anywhere
    assert "device.json:0operationsmeasurednow;33entries;onnxruntime" in again
    assert timed == []
    assert run(*words, "--sizes", "8,4,2").exit_code == 0
    assert timed
    assert not set(timed) & set(first)
    assert len(read_latency_table(path).entries) == len(first) + len(timed)
    timed.clear()
    done = run(*words, "--sizes", "8,4", "--overwrite", "--json")
    assert timed == first
    assert len(json.loads(done.stdout)["entries"]) == len(first)


def test_a_table_predicts_its_networks(quick, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(primitives.LadderTimer, "__call__", lambda self, piece, s: [10.0] * 6)
    path = tmp_path / "device.json"
    assert run("profile", "pocketnet_nano", "--primitives", path).exit_code == 0
    words = ("profile", "pocketnet_nano", "--runtime", "onnxruntime", "--predict", path)
    (model,) = json.loads(run(*words, "--json").stdout)["models"]
    # Stem, tail, and of each of 5 cells 2 preprocessings, 8 edges, 4 sums and a concatenation;
    # the skips, which cost nothing, are 1 in each normal and 2 in each reduction cell.
    assert model["prediction"]["milliseconds"] == pytest.approx(0.01 * (2 + 5 * 15 - 2 - 3 * 2))
    assert model["prediction"]["same_machine"]
    assert "device.json predicts 0.69 ms an image (onnxruntime, 1 thread)." in run(*words).stdout


def test_facts_are_one_sentence(model) -> None:
    assert facts(model()) == (
        "pocketnet_s_128 (weights drawn): 925,632 parameters, 283.5 M MACs, 587.11 MFLOPs "
        "(587.11 published), 3.77 MB as exported; images of 112 px to 128 numbers."
    )
    foreign = model(
        source="onnx", parameters=None, counted="file", paper_mflops=None, published_mflops=None
    )
    assert facts(foreign) == (
        "pocketnet_s_128: 283.5 M MACs in the file, 3.77 MB; images of 112 px to 128 numbers."
    )


def test_numbers_have_three_digits_that_count() -> None:
    numbers = (1234.6, 100.4, 99.94, 10.06, 9.996, 0.504, 0.0123)
    assert [short(n) for n in numbers] == [
        "1,235",
        "100",
        "99.9",
        "10.1",
        "10.00",
        "0.50",
        "0.0123",
    ]


def test_what_is_not_settled_is_marked(model, measurement) -> None:
    table = latency_table(model(measurements=(measurement(8.0, cpu=7.9),)))
    assert table.rows == [
        ("onnxruntime", "1", "1", "~8.00", "7.20", "8.80", "7.20", "7.90", "125", "20", "30")
    ]


def test_disturbance_is_told(model, measurement, profile_of) -> None:
    calm = profile_of(model())
    busy = profile_of(model(), load=2 * BUSY + 0.1)
    beaten = profile_of(model(measurements=(measurement(8.0, cpu=7.0),)))
    shared = profile_of(model(measurements=(measurement(8.0, cpu=7.0, threads=2),)))

    def told(profile) -> bool:
        return any("Other programs ran" in text for text in profile.warnings())

    assert [told(each) for each in (calm, busy, beaten, shared)] == [False, True, True, False]


def test_markdown_holds_what_the_screen_does(model, profile_of) -> None:
    text = markdown(profile_of(model(name="a|b")), ["figures/latency.png"])
    assert "# Profile\n\na machine, 2 cores; Linux x86_64. onnxruntime 1.0; 1 s." in text
    assert "| onnxruntime | 1 | 1 | ~8.00 |" in text
    assert LEGEND in text
    assert text.endswith("![figures/latency.png](figures/latency.png)\n")


def test_help_needs_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import pocketface.cli.profile, pocketface.cli.profile_primitives\n"
        "print({'torch', 'numpy', 'pydantic', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
