"""The process that holds a network: what it answers, and how it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pocketface.errors import MissingExtraError, RecipeError, WeightsError
from pocketface.profile.process import LEAST_RUNS, Worker
from pocketface.profile.runtimes import check_runtime, installed_runtimes
from pocketface.profile.worker import Job, open_and_measure, take_turn


def job(path, runtime="onnxruntime", batch=1):
    return Job(runtime=runtime, file=path, shape=(batch, 3, 32, 32), threads=1)


def test_it_tells_memory_load_time_and_runs(tiny_onnx, tmp_path) -> None:
    with Worker(job(tiny_onnx(tmp_path / "tiny.onnx"), batch=4)) as worker:
        assert worker.opened.load_seconds > 0
        memory = worker.opened.peak_memory
        assert memory is None or 0 < memory < 500_000_000
        runs = worker.turn()
    assert len(runs) >= LEAST_RUNS
    assert all(run.wall > 0 and run.cpu >= 0 for run in runs)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_other_runtimes_open_what_they_take(runtime, tiny_onnx, small_weights, tmp_path) -> None:
    if runtime not in installed_runtimes():
        pytest.skip(f"{runtime} is not installed")
    path = small_weights if runtime == "torch" else tiny_onnx(tmp_path / "tiny.onnx")
    execute, opened = open_and_measure(job(path, runtime))
    assert opened.load_seconds > 0
    assert len(take_turn(execute, 1.0, 2)) >= 2


def test_a_slow_network_has_fewer_runs() -> None:
    calls = []

    def slow() -> None:
        calls.append(None)
        time.sleep(0.02)

    assert len(take_turn(slow, 0.001, 100)) == 1
    assert len(calls) == 2  # the first is not counted


def test_a_broken_file_is_an_error_that_says_so(tmp_path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"onnxruntime cannot run broken.onnx.*shape \(1, 3"):
        Worker(job(broken))


def test_a_killed_process_is_an_error_that_says_so(tiny_onnx, tmp_path) -> None:
    with Worker(job(tiny_onnx(tmp_path / "tiny.onnx"))) as worker:
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        with pytest.raises(WeightsError, match="killed; perhaps memory ran out"):
            worker.turn()


def test_it_ends_with_the_process_that_measures(tiny_onnx, tmp_path) -> None:
    path = tiny_onnx(tmp_path / "tiny.onnx")
    code = (
        "import os, signal, sys\n"
        "from pocketface.profile.process import Worker\n"
        "from pocketface.profile.worker import Job\n"
        "worker = Worker(Job.model_validate_json(sys.argv[1]))\n"
        "print(worker._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    words = [sys.executable, "-c", code, job(path).model_dump_json()]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "Z" in state_of(pid):
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def state_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_runtimes_are_checked(monkeypatch) -> None:
    check_runtime("onnxruntime")
    with pytest.raises(RecipeError, match=r"Unknown runtime 'tvm'.*onnxruntime, openvino, torch"):
        check_runtime("tvm")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pocketface\[openvino\]"):
        check_runtime("openvino")
