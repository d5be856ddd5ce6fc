"""The queue of commands: order, several at once, failures, and stopping; with pretended ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketface.compare.jobs import Job, Outcome, run_jobs
from pocketface.compare.process import Stop, hold, start_process
from pocketface.errors import DataError, RecipeError


class Pretended:
    """Processes that end when they have been looked at so many times, with a given code."""

    def __init__(self, looks: dict[str, int] | None = None, codes: dict[str, int] | None = None):
        self.looks = looks or {}
        self.codes = codes or {}
        self.events: list[str] = []
        self.working: set[str] = set()
        self.most = 0

    def __call__(self, words, log: Path):
        (name,) = words
        self.events.append(f"+{name}")
        self.working.add(name)
        self.most = max(self.most, len(self.working))
        return _Process(self, name)


class _Process:
    def __init__(self, owner: Pretended, name: str) -> None:
        self.owner, self.name = owner, name
        self.left = owner.looks.get(name, 1)

    def poll(self) -> int | None:
        self.left -= 1
        if self.left > 0:
            return None
        self.owner.working.discard(self.name)
        self.owner.events.append(f"-{self.name}")
        return self.owner.codes.get(self.name, 0)

    def send_signal(self, sig: int, /) -> None:
        self.owner.events.append(f"!{self.name}")
        self.owner.codes[self.name] = -sig
        self.left = 2

    def kill(self) -> None:
        self.owner.events.append(f"x{self.name}")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch) -> None:
    monkeypatch.setattr("pocketface.compare.jobs._PAUSE", 0.001)


@pytest.fixture
def job(tmp_path) -> Callable[..., Job]:
    def make(name: str, group: str | None = None, **options) -> Job:
        return Job(
            **{
                "name": name,
                "group": group or name,
                "words": lambda: [name],
                "log": tmp_path / f"{name}.log",
                "ended": lambda: None,
                **options,
            }
        )

    return make


def test_one_after_the_other(job):
    pretended, heard = Pretended({"b": 4}), []
    outcome = run_jobs(
        [job("a"), job("b"), job("c")],
        pretended,
        Stop(),
        began=lambda j: heard.append(f"began {j.name}"),
        done=lambda j: heard.append(f"done {j.name}"),
    )
    assert outcome == Outcome()
    assert pretended.events == ["+a", "-a", "+b", "-b", "+c", "-c"]
    assert heard == [f"{word} {name}" for name in "abc" for word in ("began", "done")]


def test_several_at_once_but_not_before_what_they_need(job):
    pretended = Pretended({"teacher": 5, "alone": 20})
    jobs = [job("teacher"), job("taught", needs=("teacher",)), job("alone"), job("other")]
    run_jobs(jobs, pretended, Stop(), at_once=2)
    assert pretended.most == 2
    assert pretended.events.index("-teacher") < pretended.events.index("+taught")
    assert pretended.events[:2] == ["+teacher", "+alone"]


def test_two_do_not_begin_to_fill_one_cache(job):
    begun = {"one": False}
    pretended = Pretended({"one": 30, "two": 3})
    jobs = [
        job("one", alone="cache", begun=lambda: begun["one"]),
        job("two", alone="cache"),
        job("three", alone="another cache"),
    ]

    def look() -> None:
        begun["one"] = "-three" in pretended.events

    run_jobs(jobs, pretended, Stop(), at_once=3, look=look)
    assert pretended.events[:3] == ["+one", "+three", "-three"]
    assert pretended.events[3] == "+two"
    assert pretended.events[-1] == "-one"


def test_a_failure_leaves_its_group_out_and_what_needs_it(job, tmp_path):
    (tmp_path / "a0.log").write_text("hello\nerror: it diverged\nat step 3\n")
    pretended = Pretended(codes={"a0": 2, "t": 1})
    jobs = [
        *[job("a0", "a"), job("t"), job("b0", "b")],
        *[job("a1", "a"), job("s", needs=("t",)), job("b1", "b")],
    ]
    outcome = run_jobs(jobs, pretended, Stop())
    assert outcome.failed == {
        "a0": f"it diverged\nat step 3 (exit code 2; the whole is in {tmp_path / 'a0.log'})",
        "t": f"it said nothing (exit code 1; the whole is in {tmp_path / 't.log'})",
    }
    assert outcome.left == ["a1", "s"]
    assert not outcome.stopped
    assert [event for event in pretended.events if event[0] == "+"] == ["+a0", "+t", "+b0", "+b1"]


def test_what_ended_well_but_left_nothing_is_a_failure(job):
    def ended() -> None:
        raise DataError("no weights")

    outcome = run_jobs([job("a", ended=ended)], Pretended(), Stop())
    assert outcome.failed == {"a": "no weights"}


def test_a_stop_is_told_to_all_and_waited_for(job):
    pretended = Pretended({"a": 10_000, "b": 10_000})
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with Stop() as stop:
        outcome = run_jobs([job("a"), job("b"), job("c")], pretended, stop, at_once=2, look=look)
    assert outcome.stopped
    assert outcome.left == ["a", "b", "c"]
    assert outcome.failed == {}
    assert pretended.events == ["+a", "+b", "!a", "!b", "-a", "-b"]


@pytest.mark.parametrize("code", [130, -signal.SIGINT, -signal.SIGTERM])
def test_a_command_that_was_stopped_stops_all(job, code):
    outcome = run_jobs([job("a"), job("b")], Pretended(codes={"a": code}), Stop())
    assert outcome == Outcome(left=["a", "b"], stopped=True)


def test_a_second_interrupt_ends_at_once(job):
    def look() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    pretended = Pretended({"a": 10_000})
    with pytest.raises(KeyboardInterrupt), Stop() as stop:
        run_jobs([job("a")], pretended, stop, look=look)
    assert pretended.events[-1] == "xa"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_time_of_a_sitting():
    assert Stop(0).asked
    assert not Stop(60).asked
    assert not Stop().asked


def test_a_folder_is_held_as_long_as_a_process_holds_it(tmp_path):
    with hold(tmp_path / "out") as held:
        with pytest.raises(RecipeError, match="is in use"), hold(tmp_path / "out"):
            pass
        orphan = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(held,)
        )
    try:
        with pytest.raises(RecipeError, match="runs that one left behind"):
            hold(tmp_path / "out").__enter__()
    finally:
        orphan.kill()
        orphan.wait()
    with hold(tmp_path / "out"):
        pass


def test_a_process_adds_to_its_log_and_says_why_it_failed(tmp_path, job):
    log = tmp_path / "logs" / "x.log"
    log.parent.mkdir()
    log.write_text("before\n")
    outcome = run_jobs(
        [job("x", words=lambda: ["table", "no_such_report" * 12], log=log)], start_process, Stop()
    )
    assert log.read_text().startswith("before\n")
    # One line, however long.
    assert outcome.failed["x"].startswith(f"{'no_such_report' * 12} is not a report of")
    assert "exit code 2" in outcome.failed["x"]


def test_a_process_is_out_of_reach_of_the_terminal(tmp_path):
    process = start_process(["--help"], tmp_path / "log")
    assert isinstance(process, subprocess.Popen)
    assert os.getsid(process.pid) != os.getsid(0)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.returncode == 0
