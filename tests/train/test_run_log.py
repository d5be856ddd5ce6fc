"""The log of a run: rows that were lost work are cut, half lines dropped."""

import json
import re

from pocketface.train.curves import draw_curves
from pocketface.train.log import RunLog, Screen, read_metrics


def write(run, steps, resume_at=0):
    log = RunLog(run, resume_at)
    for step in steps:
        log.write(step, {"loss": step / 8, "epoch": step / 10, "learning_rate": 0.1})
    log.close()


def steps_of(run):
    return [row["step"] for row in read_metrics(run)]


def test_rows_are_json_lines_with_exact_numbers(tmp_path):
    log = RunLog(tmp_path, 0)
    log.write(3, {"loss": 0.1 + 0.2, "accuracy/lfw": 1.0})
    log.close()
    assert read_metrics(tmp_path) == [{"step": 3, "loss": 0.1 + 0.2, "accuracy/lfw": 1.0}]
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_row_is_on_disk_at_once(tmp_path):
    log = RunLog(tmp_path, 0)
    log.write(1, {"loss": 1.0})
    assert steps_of(tmp_path) == [1]
    log.close()


def test_rows_beyond_the_checkpoint_are_cut(tmp_path):
    write(tmp_path, [20, 40, 60, 80])
    write(tmp_path, [55, 75], resume_at=45)
    assert steps_of(tmp_path) == [20, 40, 55, 75]


def test_all_rows_of_a_step_stay(tmp_path):
    write(tmp_path, [20, 40, 40, 60])
    write(tmp_path, [], resume_at=40)
    assert steps_of(tmp_path) == [20, 40, 40]


def test_a_half_line_is_dropped(tmp_path):
    write(tmp_path, [20, 40])
    path = tmp_path / "metrics.jsonl"
    whole = path.read_text()
    for cut in (1, 10, 30):
        path.write_text(whole + json.dumps({"step": 41, "loss": 2.0, "epoch": 3})[:cut])
        assert steps_of(tmp_path) == [20, 40]
    write(tmp_path, [60], resume_at=50)
    assert steps_of(tmp_path) == [20, 40, 60]
    assert path.read_text().count("\n") == 3


def test_curves_are_drawn_from_what_there_is(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in (1, 2):
        log.write(step, {"loss": 1.0, "loss/margin": 1.0, "epoch": step / 2, "learning_rate": 0.1})
    log.write(2, {"accuracy/lfw": 0.5, "accuracy/mean": 0.5})
    log.close()
    picture = draw_curves(tmp_path)
    assert picture == tmp_path / "figures" / "training.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_screen_says_rate_and_time_left_where_there_is_no_terminal(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pocketface.train.log.time.monotonic", lambda: now[0])
    screen = Screen("run", total=1000, done=200, unit="images")
    now[0] += 10
    screen.advance(100)
    assert capsys.readouterr().err == ""
    now[0] += 20
    screen.advance(200)
    text = capsys.readouterr().err
    screen.close()
    assert re.search(r"run: 500 of 1,000 images, 10 images/s, 0.8 minutes left", text)


def test_no_time_left_is_made_up(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pocketface.train.log.time.monotonic", lambda: now[0])
    screen = Screen("run", total=1000, done=200, unit="images")
    now[0] += 40
    screen.advance(0)
    screen.close()
    assert "200 of 1,000 images, 0 images/s, time left not known yet" in capsys.readouterr().err


def test_a_quiet_screen_says_nothing(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pocketface.train.log.time.monotonic", lambda: now[0])
    screen = Screen("run", total=10, done=0, unit="images", quiet=True)
    now[0] = 100.0
    screen.advance(5)
    screen.say("something")
    screen.close()
    assert capsys.readouterr().err == ""
