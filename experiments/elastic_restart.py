"""Ask whether a run that changes to another number of processes ends where it would have ended.

Trains a small PocketNet on synthetic people twice for each seed: with two processes all the way,
and with two, then one, then four, by torchrun, stopped with SIGTERM at a third and two thirds of
the steps. Prints validation accuracy and loss of both, and their spread over the seeds. What is
done is not done again, so the experiment can be stopped and started:

    python experiments/elastic_restart.py --out runs/elastic_restart
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from pocketface import atomic
from pocketface.train.log import read_metrics

PEOPLE, IMAGES, EPOCHS, BATCH, SIZE = 120, 12, 8, 48, 48
STEPS = EPOCHS * (PEOPLE * IMAGES // BATCH)
ARMS = {"2 processes": [2], "2, then 1, then 4": [2, 1, 4]}


def recipe(faces: Path) -> dict[str, Any]:
    """The batch is that of two processes."""
    return {
        "model": {
            "architecture": "pocketnet_nano",
            "embedding_size": 64,
            "image_size": SIZE,
            "options": {"channels": 8},
        },
        "data": {"train": [str(faces / "train")], "in_memory": True},
        "validation": {"pairs": [str(faces / "lfw.bin")], "every_epochs": EPOCHS},
        "head": {"kind": "cosface", "scale": 24, "margin": 0.2},
        "optimiser": {"learning_rate": 0.1, "reference_batch": BATCH},
        "schedule": {"kind": "cosine"},
        "epochs": EPOCHS,
        "batch_size": BATCH // 2,
    }


def torchrun(world: int, text: Path, run: Path, seed: int) -> subprocess.Popen[bytes]:
    """Begin the run, or go on with it."""
    return subprocess.Popen(
        [
            *[sys.executable, "-m", "torch.distributed.run", "--standalone"],
            *["--nproc-per-node", str(world), "-m", "pocketface", "train", str(text)],
            *["--out", str(run), "--auto-resume", "--seed", str(seed)],
            *["--device", "cpu", "--threads", "1", "--quiet"],
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def step_of(run: Path) -> int:
    """How far a run's log has come."""
    with contextlib.suppress(FileNotFoundError, IndexError):
        return int(read_metrics(run)[-1]["step"])
    return 0


def carry_out(worlds: list[int], text: Path, run: Path, seed: int) -> None:
    """Train with each number of processes in turn, for equal parts of the steps."""
    for place, world in enumerate(worlds, 1):
        end = STEPS * place // len(worlds)
        if (run / "last.safetensors").exists() or (place < len(worlds) and step_of(run) >= end):
            continue
        process = torchrun(world, text, run, seed)
        while process.poll() is None and (place == len(worlds) or step_of(run) < end):
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait()
    if not (run / "last.safetensors").exists():
        raise SystemExit(f"{run} did not come to its end")


def outcome(run: Path) -> dict[str, Any]:
    """The last validation, the mean loss of the last epoch, and where the processes changed."""
    rows = read_metrics(run)
    trained = [row for row in rows if "loss" in row]
    last = [row["loss"] for row in trained if row["epoch"] > EPOCHS - 1]
    first = {row["processes"]: row["step"] for row in reversed(trained)}
    return {
        "accuracy": [row["accuracy/lfw"] for row in rows if "accuracy/lfw" in row][-1],
        "loss": statistics.fmean(last),
        "first rows": {f"{count:g}": step for count, step in sorted(first.items())},
    }


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/elastic_restart"))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    faces = args.out / "faces"
    if not (faces / "lfw.bin").exists():
        size = [f"--people={PEOPLE}", f"--images-per-person={IMAGES}", f"--size={SIZE}"]
        words = ["data", "synth", str(faces), "--only", "train,lfw", *size]
        subprocess.run([sys.executable, "-m", "pocketface", *words], check=True)
    text = args.out / "recipe.yaml"
    atomic.write_text(text, yaml.safe_dump(recipe(faces)))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS}
    for seed in range(args.seeds):
        for name, worlds in ARMS.items():
            run = args.out / f"{'-'.join(map(str, worlds))}_seed{seed}"
            carry_out(worlds, text, run, seed)
            found[name].append(outcome(run))
            print(name, "seed", seed, found[name][-1], flush=True)
    for key in ("accuracy", "loss"):
        for name, outcomes in found.items():
            values = [each[key] for each in outcomes]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            print(f"{key}, {name}: mean {statistics.fmean(values):.4f}, spread {spread:.4f}")
        pairs = zip(*found.values(), strict=True)
        apart = [other[key] - one[key] for one, other in pairs]
        print(f"{key}: difference by seed {', '.join(f'{value:+.4f}' for value in apart)}")
    atomic.write_text(args.out / "outcome.json", json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
