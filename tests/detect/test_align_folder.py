"""Folders of photographs to folders of faces: layout, going on, stopping, and what is said."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from detect_made_photos import MadeDetector, write_photo, write_photos
from PIL import Image
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.data import FolderFaces
from pocketface.data.alignment import TEMPLATE, align_face
from pocketface.detect.align_folder import JOURNAL, Settings, align_folder
from pocketface.detect.align_photo import ALIGNED, NOT_FOUND, TOO_POOR, UNREADABLE
from pocketface.detect.align_report import report_json, summary_lines, table_lines, write_report
from pocketface.detect.photo import read_photo
from pocketface.detect.photo_files import list_photos
from pocketface.detect.quality import Limits
from pocketface.errors import DataError, PocketFaceError, StoppedError

HERE = Path(__file__).parent


def settings(limits=None, **options):
    return Settings(partial(MadeDetector, **options), ("made",), limits or Limits())


def aligned(folder, out, limits=None, workers=1, **options):
    return align_folder(folder, out, settings(limits, **options), workers=workers)


def contents(folder):
    """Every file below, but for the lock and the journal, whose order depends on the processes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".align.lock", JOURNAL)
    }


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    write_photos(folder, 2, 3)
    write_photo(folder / "person_00" / "group.png", faces=3)
    write_photo(folder / "person_01" / "landscape.png", faces=0)
    write_photo(folder / "nobody" / "wall.png", faces=0)
    (folder / "person_01" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "person_01" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 9)
    (folder / "person_01" / "notes.txt").write_text("not a picture")
    (folder / ".hidden").mkdir()
    write_photo(folder / ".hidden" / "a.png")
    return folder


def test_the_layout_is_kept_and_every_crop_is_the_aligned_face(photos, tmp_path):
    out = tmp_path / "out"
    run = aligned(photos, out, workers=2)
    by_name = {outcome.photo: outcome for outcome in run.outcomes}
    assert list(by_name) == sorted(by_name)
    assert len(by_name) == 11
    crops = [name for name, outcome in by_name.items() if outcome.result == ALIGNED]
    assert crops == sorted(
        [f"person_0{p}/00{i}.png" for p in (0, 1) for i in range(3)] + ["person_00/group.png"]
    )
    assert sorted(contents(out)) == crops
    for name in crops:
        found = np.asarray(Image.open(out / name))
        np.testing.assert_array_equal(found, align_face(read_photo(photos / name), TEMPLATE + 10))
    assert list(FolderFaces(out).people) == ["person_00", "person_01"]
    assert by_name["person_01/landscape.png"].result == NOT_FOUND
    assert by_name["person_01/broken.jpg"].result == UNREADABLE
    assert "Convert it to JPEG" in by_name["person_01/phone.HEIC"].why[0]
    group = by_name["person_00/group.png"]
    assert (group.faces, group.taken) == (3, "the largest of 3, 2.0 times as wide as the next")
    assert run.others == 1


def test_the_report_names_everything_that_is_not_plain(photos, tmp_path):
    run = aligned(photos, tmp_path / "out", Limits(eyes=36))
    write_report(run, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "align.json").read_text())
    assert report == report_json(run)
    assert report["results"] == {ALIGNED: 0, NOT_FOUND: 2, TOO_POOR: 7, UNREADABLE: 2}
    assert report["several_faces"] == 1
    assert report["people_without_a_face"] == ["nobody", "person_00", "person_01"]
    assert len(report["outcomes"]) == 11
    text = (tmp_path / "out" / "align.txt").read_text()
    assert "person_00/000.png: small: eyes 35 pixels apart: limit 36" in text
    assert "person_00/group.png: 3 faces; taken: the largest of 3" in text
    assert "1 files are no photographs" in text
    assert len(table_lines(run.outcomes)) == 12
    short = summary_lines(run, 2)
    assert "  ... and 5 more" in short
    assert len(short) < len(summary_lines(run))


def test_a_second_run_does_nothing_again_and_a_changed_photograph_is_done(photos, tmp_path):
    out = tmp_path / "out"
    aligned(photos, out)
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    run = aligned(photos, out)
    assert run.resumed == 9  # all but the two that could not be read
    assert contents(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == times
    (out / "person_00" / "001.png").unlink()
    write_photo(photos / "person_00" / "002.png", faces=0)
    write_photo(photos / "person_01" / "new.png", seed=77)
    run = aligned(photos, out)
    assert run.resumed == 7
    assert set(contents(out)) == set(before) - {"person_00/002.png"} | {"person_01/new.png"}
    assert contents(out)["person_00/001.png"] == before["person_00/001.png"]


def test_under_other_settings_all_is_done_again_and_old_crops_go(photos, tmp_path):
    out = tmp_path / "out"
    aligned(photos, out)
    (out / "mine.png").write_bytes(b"kept")
    run = aligned(photos, out, Limits(eyes=36))
    assert run.resumed == 0
    assert list(contents(out)) == ["mine.png"]


def test_names_that_differ_by_their_ending_only_stay_apart(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.png", "a.bmp", "b.png", "sub/A.png", "sub/b.png"):
        write_photo(folder / name)
    crops = list_photos(folder, tmp_path / "out").crops
    assert crops == {
        "a.bmp": "a.bmp.png",
        "a.png": "a.png.png",
        "b.png": "b.png.png",
        "sub/A.png": "sub/A.png",
        "sub/b.png": "sub/b.png",
    }
    # The names change when one of the two goes; the old crops go with them.
    aligned(folder, tmp_path / "out")
    (folder / "a.bmp").unlink()
    aligned(folder, tmp_path / "out")
    found = set(contents(tmp_path / "out"))
    assert {"a.png", "b.png"} <= found
    assert "b.png.png" not in found


def test_names_that_are_no_unicode_or_hold_a_line_break(tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    write_photo(folder / "a.png")
    for name, faces in ((b"\xff.png", 1), (b"two\nlines.png", 0)):
        write_photo(folder / "b.png", faces=faces)
        (folder / "b.png").rename(folder / os.fsdecode(name))
    run = aligned(folder, out)
    write_report(run, out)
    assert os.fsencode(out) + b"/\xff.png" in [os.fsencode(path) for path in out.iterdir()]
    text = (out / "align.txt").read_text()
    assert "\\udcff.png" in text
    assert "  two\\nlines.png" in text
    assert aligned(folder, out).resumed == 3


def test_a_link_in_a_circle_ends(tmp_path):
    write_photo(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    assert list(list_photos(tmp_path / "photos", tmp_path / "out").crops) == ["a.png"]


def test_folders_that_cannot_be_used(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, out, message in (
        ("absent", "out", "no such folder"),
        ("photos/person_00/000.png", "out", "no such folder"),
        ("empty", "out", "no photograph is there"),
        ("photos", "photos", "lie in one another"),
        ("photos", "photos/out", "lie in one another"),
        ("photos/person_00", "photos", "lie in one another"),
        ("photos", "photos/person_00/000.png/x", "lie in one another"),
    ):
        with pytest.raises(DataError, match=message):
            aligned(tmp_path / folder, tmp_path / out)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        aligned(photos, tmp_path / "file" / "out")


def test_two_runs_do_not_write_to_one_folder(photos, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".align.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another run is writing there"):
            aligned(photos, tmp_path / "out")


def test_what_a_killed_run_leaves_is_swept_and_a_torn_line_passed_over(photos, tmp_path):
    out = tmp_path / "out"
    aligned(photos, out)
    before = contents(out)
    (out / "person_00" / "000.png.tmp-123").write_bytes(b"half")
    journal = (out / JOURNAL).read_bytes()
    (out / JOURNAL).write_bytes(journal[:-40] + b"")
    (out / "person_00" / "kept.tmp-old").write_bytes(b"not ours")
    run = aligned(photos, out)
    assert run.resumed in (8, 9)
    (out / "person_00" / "kept.tmp-old").unlink()
    assert contents(out) == before
    lines = (out / JOURNAL).read_text().splitlines()
    assert sum(not line.endswith("}") for line in lines) == 1


def test_a_journal_cannot_have_files_elsewhere_removed(photos, tmp_path):
    out = tmp_path / "out"
    aligned(photos, out)
    (tmp_path / "precious.png").touch()
    text = (out / JOURNAL).read_text()
    (out / JOURNAL).write_text(
        text.replace('"crop": "person_00/000.png"', '"crop": "../precious.png"')
    )
    aligned(photos, out, Limits(eyes=36))
    assert (tmp_path / "precious.png").exists()


def test_a_process_that_dies_is_named_by_its_photograph(tmp_path):
    folder = tmp_path / "photos"
    write_photos(folder, 1, 2)
    write_photo(folder / "person_00" / "deadly.png", faces=9)
    with pytest.raises(PocketFaceError, match=r"a process was killed .*deadly\.png"):
        aligned(folder, tmp_path / "out", die=True)


def start(folder, out, pause, workers=2):
    code = (
        "import sys; from pathlib import Path; from functools import partial\n"
        "from detect_made_photos import MadeDetector\n"
        "from pocketface.cli import main, align\n"
        "from pocketface.detect.align_folder import Settings, align_folder\n"
        "from pocketface.detect.quality import Limits\n"
        "if __name__ == '__main__':\n"
        "    def run():\n"
        "        make = partial(MadeDetector, pause=float(sys.argv[3]))\n"
        "        s = Settings(make, ('made',), Limits())\n"
        "        tell = lambda done, all: print(done, all, flush=True)\n"
        "        align_folder(Path(sys.argv[1]), Path(sys.argv[2]), s, workers=int(sys.argv[4]),"
        " progress=tell)\n"
        "    main.app = run\n"
        "    main.main()\n"
    )
    script = out.parent / "run.py"
    script.write_text(code)
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(out), str(pause), str(workers)],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ends(group):
    """Whether all processes of a group have ended soon; nobody may be there to bury them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
                running += int(its_group) == group and state != "Z"
        if not running:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_keeps_what_is_done_and_leaves_no_process(tmp_path):
    names = write_photos(tmp_path / "photos", 4, 10)
    process = start(tmp_path / "photos", tmp_path / "out", 0.1)
    shown = [process.stdout.readline() for _ in range(2)]
    assert shown[0] == "0 40\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "are done and kept" in errors
    assert ends(process.pid)
    kept = set(contents(tmp_path / "out"))
    assert 0 < len(kept) < 40
    run = aligned(tmp_path / "photos", tmp_path / "out")
    assert run.resumed == len(kept)
    assert sorted(contents(tmp_path / "out")) == names


@pytest.mark.slow
def test_killed_at_any_time_a_run_goes_on_to_the_same_files(tmp_path):
    write_photos(tmp_path / "photos", 4, 12)
    aligned(tmp_path / "photos", tmp_path / "whole")
    wanted = contents(tmp_path / "whole")
    generator = np.random.default_rng(0)
    kept = []
    for _ in range(8):
        process = start(tmp_path / "photos", tmp_path / "out", 0.02)
        for _ in range(2):  # until the first photographs are done
            process.stdout.readline()
        time.sleep(generator.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=120)
        assert ends(process.pid)  # the others see that it is gone
        for name, content in contents(tmp_path / "out").items():
            assert ".tmp-" in name or content == wanted[name]
        kept.append(sum(".tmp-" not in name for name in contents(tmp_path / "out")))
    assert kept == sorted(kept)
    assert 0 < kept[0] < 48
    aligned(tmp_path / "photos", tmp_path / "out")
    assert contents(tmp_path / "out") == wanted


def test_ctrl_c_inside_a_test_is_a_stop(photos, tmp_path):
    def stop(done, _):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError, match="Run the same command to go on"):
        align_folder(photos, tmp_path / "out", settings(), workers=1, progress=stop)
    assert aligned(photos, tmp_path / "out").resumed > 0


def test_the_command(real_data, tmp_path):
    pytest.importorskip("cv2")
    folder = tmp_path / "photos"
    (folder / "one").mkdir(parents=True)
    for path in sorted((real_data / "photos").glob("*/*.jpg"))[:2]:
        (folder / "one" / path.name).write_bytes(path.read_bytes())
    write_photo(folder / "two" / "noise.png")
    weights = real_data / "weights" / "yunet_n_dynamic.onnx"
    command = ["align", str(folder), str(tmp_path / "out"), "--detector", str(weights)]
    done = CliRunner().invoke(app, [*command, "--workers", "1", "--min-quality", "eyes=10"])
    assert done.exit_code == 0, done.output
    assert "3 photographs: 2 aligned, 1 no face found" in done.output
    assert "two: no photograph of this person gave a face" in done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("one", "align.json", "align.txt", JOURNAL, ".align.lock")
    }
    done = CliRunner().invoke(app, [*command, "--min-quality", "great"])
    assert "--min-quality knows no 'great'" in str(done.exception)
