"""`torchrun ... pocketface train` as a user starts it, on the CPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import yaml


def start(
    recipe: Path, run: Path, *options: str, world: int = 2, agent: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Start `world` processes; `agent` are options of torchrun's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return subprocess.Popen(
        [
            *[sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(world)],
            *["--master_addr", "127.0.0.1", "--master_port", str(port), *agent],
            *["-m", "pocketface", "train", str(recipe), "--out", str(run)],
            *["--device", "cpu", "--threads", "1", "--quiet", *options],
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end, which must be a good one."""
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said


def write(path: Path, content: dict[str, object]) -> Path:
    """Write a recipe."""
    path.write_text(yaml.safe_dump(content))
    return path
