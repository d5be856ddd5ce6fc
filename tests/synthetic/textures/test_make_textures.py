"""Sets of textures: the same bytes whatever happens on the way, and nothing overwritten."""

import json
from pathlib import Path

import numpy as np
import pytest

from pocketface.cli.main import app
from pocketface.data import decode_rgb, open_faces
from pocketface.errors import DataError, RecipeError, StoppedError
from pocketface.synthetic.textures import draw_texture, make, picture
from pocketface.synthetic.textures.make import TextureJob, TextureRecipe, make_textures
from pocketface.synthetic.textures.texture import stream

TINY = TextureRecipe(classes=5, images=3, size=16, seed=4)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "PART", 4)


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("layout", ["rec", "folder"])
def test_a_set_is_read_as_people_are(tmp_path: Path, layout: str) -> None:
    out = tmp_path / "set"
    words = ["--classes", "5", "--images", "3", "--size", "16", "--workers", "1", "--seed", "4"]
    app(["data", "textures", str(out), *words, "--layout", layout], standalone_mode=False)
    faces = open_faces(out)
    assert faces.faults == []
    assert faces.labels.tolist() == [number for number in range(5) for _ in range(3)]
    shown = decode_rgb(faces.encoded(7), faces.name(7)).astype(float)
    drawn = picture(draw_texture(4, 2), stream(4, "image", 2, 1), 16).astype(float)
    assert shown.shape == (16, 16, 3)
    assert np.abs(shown - drawn).mean() < 10  # JPEG
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_is_made_is_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    words = ["data", "textures", str(out), "--classes", "2", "--images", "2", "--size", "16"]
    app([*words, "--workers", "1"], standalone_mode=False)
    said = capsys.readouterr().out
    assert f"{out}: 2 classes, 4 images; 0.0 MB\n" in said
    assert f"next: pocketface search {out}" in said
    before = contents(out)
    app([*words, "--workers", "1"], standalone_mode=False)
    assert "(kept)" in capsys.readouterr().out
    assert contents(out) == before


def test_a_stopped_run_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_textures(tmp_path / "whole", TINY)
    run, runs = TextureJob.run, 0

    def interrupted(job: TextureJob, render: None = None) -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            raise KeyboardInterrupt
        run(job)

    monkeypatch.setattr(TextureJob, "run", interrupted)
    with pytest.raises(StoppedError, match="stopped; 8 of 15 images are kept"):
        make_textures(tmp_path / "stopped", TINY)
    assert not (tmp_path / "stopped").exists()
    told: list[tuple[int, int]] = []
    make_textures(tmp_path / "stopped", TINY, progress=lambda *now: told.append(now))
    assert told == [(0, 7), (4, 7), (7, 7)]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_two_processes_give_the_same_bytes_as_one(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        make_textures(tmp_path / name, TINY, workers=workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_set_in_the_same_place_is_refused(tmp_path: Path) -> None:
    make_textures(tmp_path / "set", TINY)
    before = contents(tmp_path / "set")
    with pytest.raises(RecipeError, match=r"seed 4; now asked for is .* seed 5"):
        make_textures(tmp_path / "set", TextureRecipe(5, 3, 16, "rec", 5))
    assert contents(tmp_path / "set") == before


def test_what_is_no_set_of_textures_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match=r"no set of textures .* Choose another folder"):
        make_textures(tmp_path / "photos", TINY)
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="or delete the folder"):
        make_textures(tmp_path / "set", TINY)
    assert (tmp_path / "photos" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "set.partial" / "mine.txt").read_text() == "mine"


def test_a_changed_set_and_one_of_another_version_are_noticed(tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_textures(out, TINY)
    about = json.loads((out / "textures.json").read_text())
    about["made_by"]["generator"] = "older"
    (out / "textures.json").write_text(json.dumps(about))
    made = make_textures(out, TINY)
    assert made.kept
    assert made.other_version
    (out / "train.rec").write_bytes(b"cut")
    with pytest.raises(DataError, match="Delete it and run again"):
        make_textures(out, TINY)


@pytest.mark.parametrize(
    "changes", [{"classes": 0}, {"images": 0}, {"size": 8}, {"size": 2000}, {"seed": -1}]
)
def test_sizes_out_of_range_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match=r"at least one|16 to 1,024|\[0, 2\^32\)"):
        TextureRecipe(**changes)
