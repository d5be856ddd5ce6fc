"""`pocketface data synth` as it is typed, with the real renderer and tiny sets; and killed."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from pocketface.cli.main import app
from pocketface.data import decode_rgb, open_faces
from pocketface.data.pairs import load_pairs
from pocketface.errors import RecipeError

TINY = ["--people", "2", "--images-per-person", "2", "--size", "32", "--workers", "1"]


def test_a_training_set_is_made_and_the_next_command_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faces"
    words = ["data", "synth", str(out), "--only", "train", *TINY]
    app(words, standalone_mode=False)
    said = capsys.readouterr().out
    assert f"{out}/train: 2 people, 4 images" in said
    assert f"next: pocketface train RECIPE --data {out}/train" in said
    faces = open_faces(out / "train")
    images = [decode_rgb(faces.encoded(i), faces.name(i)) for i in range(4)]
    assert all(image.shape == (32, 32, 3) and image.std() > 8 for image in images)
    assert not any(np.array_equal(images[0], image) for image in images[1:])
    app(words, standalone_mode=False)
    assert "(kept)" in capsys.readouterr().out


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Did you mean 'lfw'"):
        app(["data", "synth", str(tmp_path / "x"), "--only", "lwf"], standalone_mode=False)
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_every_set_is_made_by_the_real_renderer_alike_by_one_and_two_processes(
    tmp_path: Path, contents
) -> None:
    only = "train,cfp_fp,ijbc"
    for name, workers in (("one", "1"), ("two", "2")):
        words = ["data", "synth", str(tmp_path / name), "--only", only, *TINY[:-1], workers]
        app([*words, "--scale", "0.02"], standalone_mode=False)
    first, second = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert [name for name in first if first[name] != second.get(name)] == []
    assert set(first) == set(second)
    assert len(load_pairs(tmp_path / "one" / "cfp_fp.bin")) == 40


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_behind_and_goes_on(tmp_path: Path, contents, make) -> None:
    script = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from fake_renderer import slow
        from pocketface.synthetic.sets import choose_sets, make_sets
        if __name__ == "__main__":
            make_sets(Path(sys.argv[1]), choose_sets(["lfw"], scale=0.3), 5, workers=2, render=slow)
    """
    file = tmp_path / "run.py"
    file.write_text(textwrap.dedent(script))
    root = tmp_path / "killed"
    run = subprocess.Popen([sys.executable, str(file), str(root)], start_new_session=True)
    _wait(lambda: len(list(root.glob("lfw.partial/part_*.npz"))) >= 1)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    _wait(lambda: not _group(run.pid))
    assert not (root / "lfw.bin").exists()
    make("lfw", root=root, scale=0.3)
    make("lfw", root=tmp_path / "whole", scale=0.3)
    assert contents(root) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_and_says_how_to_go_on(tmp_path: Path) -> None:
    root = tmp_path / "stopped"
    words = ["data", "synth", str(root), "--only", "lfw", "--workers", "2"]
    run = subprocess.Popen(
        [sys.executable, "-m", "pocketface", *words],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait(lambda: len(list(root.glob("lfw.partial/part_*.npz"))) >= 1)
    os.killpg(run.pid, signal.SIGINT)
    said = " ".join(run.communicate()[1].split())
    assert run.returncode == 130
    assert re.search(r"stopped; \d+ of 1,200 pictures are kept .* command again to go on", said)
    assert "stopped; 0 of" not in said
    assert "Traceback" not in said
    assert not (root / "lfw.bin").exists()
    _wait(lambda: not _group(run.pid))


def _wait(condition) -> None:
    end = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _group(leader: int) -> list[str]:
    """The living processes of a group (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found.append(stat.parent.name)
    return found
