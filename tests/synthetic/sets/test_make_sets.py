"""Making sets: same bytes whatever happens on the way, nothing half, nothing overwritten."""

import errno
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import fake_renderer
import numpy as np
import pytest

from pocketface.errors import DataError, RecipeError, StoppedError
from pocketface.synthetic.population import Population
from pocketface.synthetic.sets import SET_NAMES, choose_sets, make_sets
from pocketface.synthetic.sets.circumstances import PRESS
from pocketface.synthetic.sets.pair_sets import PairSetRecipe
from pocketface.synthetic.sets.parts import Parts
from pocketface.synthetic.sets.shot import Shot, take
from pocketface.synthetic.sets.training_set import TrainingRecipe

SOME = ("train", "lfw", "ijbb", "megaface")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketface.synthetic.sets.parts.PART", 16)


def test_all_sets_are_made_and_nothing_else_is_left(make, tmp_path: Path) -> None:
    made = make(scale=0.01)
    assert [one.name for one in made] == list(SET_NAMES)
    assert {one.path.name for one in made} | {"synth.json", "sums"} == {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert not any(one.kept or one.other_version for one in made)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    make, contents, tmp_path: Path
) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make(*SOME, root=tmp_path / folder, seed=seed)
    first, again, other = (contents(tmp_path / folder) for folder in "abc")
    assert first == again
    for name in ("lfw.bin", "IJBB/loose_crop/1.jpg", "train/person_000000/person_000000_0001.jpg"):
        assert first[name] != other[name]


@pytest.mark.slow
def test_two_processes_give_the_same_bytes_as_one(make, contents, tmp_path: Path) -> None:
    for folder, workers in (("one", 1), ("two", 2)):
        make(*SOME, root=tmp_path / folder, workers=workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_which_pictures_are_taken_together_does_not_show() -> None:
    shots = PairSetRecipe("cplfw", 0.05).plan(3).shots[:9]
    shots = [replace(shot, size=(48, 32, 64)[i % 3]) for i, shot in enumerate(shots)]
    together = take(shots, Population(3), fake_renderer.render)
    for shot, picture in zip(shots, together, strict=True):
        (alone,) = take([shot], Population(3), fake_renderer.render)
        assert alone.file == picture.file
        assert np.array_equal(alone.landmarks, picture.landmarks)


def test_the_pictures_of_parts_are_read_in_any_order(tmp_path: Path) -> None:
    shots = TrainingRecipe(people=10, images_per_person=4, size=32).plan(3).shots
    parts = Parts(tmp_path, 3, shots)
    for job in parts.missing():
        job.run(fake_renderer.render)
    assert not parts.missing()
    taken = [picture.file for picture in take(shots, Population(3), fake_renderer.render)]
    assert [parts[i].file for i in reversed(range(40))] == taken[::-1]
    assert [picture.file for picture in parts[10:20]] == taken[10:20]
    with pytest.raises(IndexError):
        parts[40]


def test_a_stopped_run_goes_on_where_it_was(make, contents, tmp_path: Path) -> None:
    make(*SOME, root=tmp_path / "whole")
    taken = 0

    def stops(identities, nuisances, size=112, *, aligned=True):
        nonlocal taken
        taken += len(identities)
        if taken > 60:
            raise KeyboardInterrupt
        return fake_renderer.render(identities, nuisances, size, aligned=aligned)

    def counts(identities, nuisances, size=112, *, aligned=True):
        nonlocal taken
        taken += len(identities)
        return fake_renderer.render(identities, nuisances, size, aligned=aligned)

    root = tmp_path / "stopped"
    with pytest.raises(StoppedError, match="Run the same command again") as stop:
        make(*SOME, root=root, render=stops)
    # Six of train, then three whole parts of lfw: the fourth was interrupted.
    assert "stopped; 54 of" in str(stop.value)
    assert (root / "train").is_dir()
    assert (root / "lfw.partial").is_dir()
    assert not (root / "lfw.bin").exists()
    taken = 0
    made = make(*SOME, root=root, render=counts)
    assert [one.kept for one in made] == [True, False, False, False]
    assert taken < sum(one.counts["images"] for one in made) - 40
    assert contents(root) == contents(tmp_path / "whole")


def test_a_run_killed_while_a_set_is_written_or_entered_goes_on(
    make, contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("train", "lfw", root=tmp_path / "whole")
    for place in (
        "pocketface.data.pairs.atomic.atomic_path",
        "pocketface.synthetic.sets.manifest._sha256",
    ):
        root = tmp_path / place
        with monkeypatch.context() as patch:
            if "pairs" in place:
                # The last thing before the set is whole.
                patch.setattr("pocketface.synthetic.sets.pair_sets.save_bin", _interrupted)
            else:
                patch.setattr(place, _interrupted)
            with pytest.raises(StoppedError):
                make("lfw", "train", root=root)
        assert [path.name for path in root.glob("*.partial")]
        make("train", "lfw", root=root)
        assert contents(root / "train") == contents(tmp_path / "whole" / "train")
        assert (root / "lfw.bin").read_bytes() == (tmp_path / "whole" / "lfw.bin").read_bytes()
        assert not list(root.glob("*.partial"))


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_finished_set_is_kept_and_another_one_added(make, contents, tmp_path: Path) -> None:
    root = tmp_path / "out"
    make("lfw")
    before = contents(root)
    made = make("lfw", "train", render=None)  # the real renderer is not needed for what is kept
    assert [one.kept for one in made] == [False, True]
    after = contents(root)
    assert {name: after[name] for name in before if name != "synth.json"} == {
        name: content for name, content in before.items() if name != "synth.json"
    }


def test_the_order_in_which_sets_are_made_does_not_show(make, contents, tmp_path: Path) -> None:
    make("lfw", "train", root=tmp_path / "at once")
    for name in ("lfw", "train"):
        make(name, root=tmp_path / "one by one")
    assert contents(tmp_path / "at once") == contents(tmp_path / "one by one")


def test_another_seed_in_the_same_folder_is_refused(make, contents, tmp_path: Path) -> None:
    make("lfw", seed=5)
    before = contents(tmp_path / "out")
    with pytest.raises(RecipeError, match="seed 5, not 6"):
        make("calfw", seed=6)
    assert contents(tmp_path / "out") == before


def test_other_options_in_the_same_folder_are_refused(make, contents, tmp_path: Path) -> None:
    make("lfw", "train")
    before = contents(tmp_path / "out")
    with pytest.raises(RecipeError, match=r"scale 0\.05, now asked for is scale 0\.1"):
        make("lfw", scale=0.1)
    with pytest.raises(RecipeError, match=r"people 3, .* people 4"):
        make("train", people=4)
    assert contents(tmp_path / "out") == before


def test_an_unfinished_set_of_other_options_is_refused(make, tmp_path: Path) -> None:
    def stops(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(StoppedError):
        make("lfw", render=stops)
    with pytest.raises(DataError, match="begun with other options"):
        make("lfw", scale=0.1)
    make("lfw")


def test_a_file_that_is_somebody_elses_is_refused(make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "lfw.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="move it away"):
        make("lfw")
    assert (tmp_path / "out" / "lfw.bin").read_bytes() == b"mine"


def test_a_changed_set_is_noticed_and_a_deleted_one_made_again(
    make, contents, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    make("train", "lfw")
    before = contents(root)
    (root / "train" / "person_000001" / "person_000001_0002.jpg").unlink()
    with pytest.raises(DataError, match="Delete it and run again"):
        make("train")
    shutil.rmtree(root / "train")
    make("train", "lfw")
    assert contents(root) == before


def test_checksums_can_be_checked_by_sha256sum(make, tmp_path: Path) -> None:
    root = tmp_path / "out"
    made = make("lfw", "train", "megaface")
    manifest = json.loads((root / "synth.json").read_text())
    assert manifest["seed"] == 5
    assert set(manifest["sets"]) == {"lfw", "train", "megaface"}
    entry = manifest["sets"]["train"]
    assert entry["counts"] == {"people": 3, "images": 6}
    assert entry["options"] == {"people": 3, "images_per_person": 2, "size": 32, "layout": "folder"}
    assert set(entry["made_by"]) == {"pocketface", "generator", "numpy", "torch", "simplejpeg"}
    for one in made:
        checked = subprocess.run(
            ["sha256sum", "-c", f"sums/{one.name}.sha256"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        assert checked.stdout.count(": OK") == manifest["sets"][one.name]["files"]


def test_a_set_of_another_version_is_kept_and_said_so(make, tmp_path: Path) -> None:
    make("lfw")
    path = tmp_path / "out" / "synth.json"
    path.write_text(path.read_text().replace('"pocketface": "', '"pocketface": "0.0.0-'))
    (made,) = make("lfw")
    assert made.kept
    assert made.other_version


def test_a_full_disk_is_a_clear_error_and_the_run_can_go_on(
    make, contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("lfw", root=tmp_path / "whole")
    root = tmp_path / "full"

    def full(handle, **_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez", full)
        with pytest.raises(DataError, match=r"No space left on device.*run the same command"):
            make("lfw", root=root)
    assert not list(root.rglob("*.npz*"))
    make("lfw", root=root)
    assert contents(root) == contents(tmp_path / "whole")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}', '{"format": 1, "seed": 5}'])
def test_a_broken_manifest_is_an_error(make, tmp_path: Path, content: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "synth.json").write_text(content)
    with pytest.raises(DataError, match=r"synth\.json"):
        make("lfw")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["lwf"]}, "Did you mean 'lfw'"),
        ({"only": []}, "no set was named"),
        ({"scale": 0.0}, "--scale"),
        ({"scale": float("nan")}, "--scale"),
        ({"people": 0}, "at least one person"),
        ({"images_per_person": 0}, "at least one person"),
        ({"size": 100}, "multiple of 16"),
        ({"layout": "zip"}, "'folder' or 'rec'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        choose_sets(**options)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused_before_anything_is_written(
    tmp_path: Path, seed: int
) -> None:
    with pytest.raises(DataError, match="seed"):
        make_sets(tmp_path / "out", choose_sets(["train"]), seed)
    assert not (tmp_path / "out").exists()


def test_progress_counts_what_is_left_to_take(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    recipes = choose_sets(["train"], people=20, images_per_person=2, size=32)
    make_sets(
        tmp_path,
        recipes,
        render=fake_renderer.render,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(0, 40), (16, 40), (32, 40), (40, 40)]


def test_a_loose_crop_is_as_blurred_and_coarse_as_an_aligned_one() -> None:
    asked = []

    def record(identities, nuisances, size=112, *, aligned=True):
        asked.append((aligned, nuisances[0].blur, nuisances[0].resolution))
        return fake_renderer.render(identities, nuisances, size, aligned=aligned)

    fixed = (("blur", 1.65), ("resolution", 40.0))
    for aligned in (True, False):
        shot = Shot(7, 0, PRESS, fixed, size=128, aligned=aligned)
        take([shot], Population(1), record)
    # Counted in millimetres on the face: 200 mm across one crop, 330 across the other.
    assert asked == [(True, 1.65, 40.0), (False, pytest.approx(1.0), pytest.approx(66.0))]
