"""The log of a run: rows that were lost work are cut, half lines dropped."""

import json
import re

import pytest
import torch

from pocketface.train.curves import draw_curves
from pocketface.train.device_use import device_use, told
from pocketface.train.log import RunLog, Screen, duration, read_metrics


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
    assert re.search(r"run: 500 of 1,000 images, 10 images/s, 50 seconds left", text)
    screen.note = "waits 2% for data"
    now[0] += 30
    screen.advance(10)
    screen.close()
    text = capsys.readouterr().err
    assert "run: 510 of 1,000 images, 5 images/s, 95 seconds left" not in text
    assert "run: 510 of 1,000 images, 5 images/s, 1.6 minutes left, waits 2% for data" in text
    # What was thrown away is no longer counted, nor is the time that it took.
    screen.set_back(300)
    now[0] += 40
    screen.advance(80)
    assert "380 of 1,000 images, 2 images/s, 5.2 minutes left" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (89, "89 seconds"),
        (186, "3.1 minutes"),
        (1500, "25 minutes"),
        (3599, "1 h 00 min"),
        (5 * 3600 + 300, "5 h 05 min"),
        (86_399, "1 day 0 h"),
        (53 * 3600, "2 days 5 h"),
    ],
)
def test_a_time_is_told_as_finely_as_it_is_of_use(seconds, said):
    assert duration(seconds) == said


def test_a_gpu_is_told_of_and_a_cpu_is_not(monkeypatch):
    assert device_use(torch.device("cpu")) == {}
    assert told({"loader_wait": 0.021}) == "waits 2% for data"
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda device: 3 << 29)
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr("torch.cuda.utilization", lambda device: 93)
    use = device_use(gpu)
    assert use == {"gpu_memory_gib": 1.5, "gpu_use": 0.93}
    said = told({"loader_wait": 0.0} | use)
    assert said == "waits 0% for data, GPU 93% busy, 1.5 GiB of its memory"

    def missing(device: torch.device) -> int:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    monkeypatch.setattr("torch.cuda.utilization", missing)
    assert device_use(gpu) == {"gpu_memory_gib": 1.5}
