"""Training on clusters: the commands are real ones, the signals arrive; two hosts are as one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
import yaml

from pocketface.cli.main import app

EXAMPLES = Path(__file__).parents[2] / "examples"

SRUN = """#!/bin/bash
printf '%s\\n' "$@" > "$SAID/srun"
[ -z "$LONG" ] && exit
trap 'echo "$SAID" > "$SAID/stopped"; kill $!; exit 15' TERM
sleep 60 & wait
"""
SCONTROL = """#!/bin/bash
case "$1" in show) echo node7; echo node8;; *) echo "$@" > "$SAID/requeued";; esac
"""


def assert_command(words: list[str]) -> None:
    """Have torchrun's own parser and ours read a command; both end the test at an unknown word."""
    run = pytest.importorskip("torch.distributed.run")
    from pocketface.train.recipe import shipped_recipes

    assert words[0] == "torchrun"
    torchrun = run.get_args_parser().parse_args(words[1:])
    assert (torchrun.module, torchrun.training_script) == (True, "pocketface")
    assert int(torchrun.max_restarts) > 0
    name, *options = torchrun.training_script_args
    commands = typer.main.get_command(app).commands
    given = commands[name].make_context(name, options).params
    assert given["recipe"] in shipped_recipes()
    assert given["auto_resume"]
    assert str(given["out"]).startswith("/shared")


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Path:
    """A folder that comes first in PATH, with what the script needs of SLURM; it keeps notes."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in {
        "SAID": str(tmp_path),
        "LONG": "",
        "SLURM_JOB_ID": "12",
        "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "node[7-8]",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


SCRIPT = EXAMPLES / "cluster" / "train.sbatch"


def test_the_slurm_script_calls_what_there_is(cluster):
    subprocess.run(["bash", SCRIPT], check=True, timeout=60)
    words = (cluster / "srun").read_text().splitlines()
    assert_command(words[words.index("torchrun") :])
    assert "node7:29500" in words
    assert not (cluster / "requeued").exists()


def test_the_slurm_script_hands_the_signal_on_waits_and_queues_again(cluster, monkeypatch):
    monkeypatch.setenv("LONG", "yes")
    process = subprocess.Popen(["bash", SCRIPT])
    deadline = time.monotonic() + 60
    while not (cluster / "srun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert (cluster / "stopped").exists()
    assert (cluster / "requeued").read_text() == "requeue 12\n"


def test_the_kubernetes_job_calls_what_there_is_and_its_names_agree():
    service, job = yaml.safe_load_all((EXAMPLES / "cluster" / "train.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert_command(container["command"])
    words = container["command"]
    names = service["metadata"]["name"], job["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": names[1]}
    assert service["spec"]["clusterIP"] == "None"
    assert pod["subdomain"] == names[0]
    assert f"--rdzv-endpoint={names[1]}-0.{names[0]}:29500" in words
    assert f"--nnodes={job['spec']['completions']}" in words
    assert job["spec"]["completions"] == job["spec"]["parallelism"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}


def namespaces_can_be_had() -> bool:
    if shutil.which("ip") is None:
        return False
    name = f"pftest{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return False
    words = ["ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", "eth1"]
    cable = subprocess.run([*words, "netns", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return cable.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hosts_train_as_one(tmp_path):
    pytest.importorskip("lightning_fabric")
    if not namespaces_can_be_had():
        pytest.skip("network namespaces need root and `ip`")
    done = subprocess.run(
        ["bash", EXAMPLES / "two_hosts" / "run.sh", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stderr
    assert "two hosts and one gave the same weights" in done.stdout
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert not re.search(r"^pf\d+[ab]\b", names.stdout, re.M)
