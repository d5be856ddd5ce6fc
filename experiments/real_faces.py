"""Measure what a teacher gives a small network on real faces.

Trains a small IResNet teacher on LFW people and CelebA, then `pocketnet_nano` alone, with
embedding distillation, with multi-step distillation, and taught by the cached embeddings of a
foreign MobileFaceNet, each with several seeds; measures all on LFW pairs of other people, beside
raw pixels and whitened PCA. Every run is a command of the package. What is done is not done
again, so the experiment can be stopped and started:

    python experiments/real_faces.py --data ../shared/data --out runs/real_faces
"""

import argparse
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from baselines import measure_baselines
from comparison import write_comparison

POCKETFACE = [sys.executable, "-m", "pocketface"]
ARMS = {
    "alone": "pocketnet_nano alone",
    "mobilefacenet": "embedding distillation from a foreign MobileFaceNet",
    "multi_step": "multi-step distillation from the small teacher",
    "embedding": "embedding distillation from the small teacher",
}


@dataclass(frozen=True)
class Job:
    """A command, what it needs to exist before, and the file that shows it is done."""

    name: str
    command: list[str]
    makes: Path
    needs: tuple[Path, ...] = ()


def training_jobs(args: argparse.Namespace) -> list[Job]:
    """The teacher first, since most students wait for it, and those that do not in between."""
    data, out = args.data, args.out
    faces = ["--data", str(data / "lfw112"), "--data", str(data / "celeba299_rec")]
    common = [*faces, "--people", str(data / "lfw_open_set.json"), "--threads", "1"]
    foreign = data / "weights" / "mobilefacenet_foamliu.onnx"
    imagenet = "{image_size: 112, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"
    teacher = out / "teacher"
    cache = ["--cache", str(out / "cache")]
    lessons = {
        "alone": ["train"],
        "embedding": ["distill", "--teacher", str(teacher), *cache],
        "multi_step": ["distill", "--teacher", str(teacher), "--multi-step"],
        "mobilefacenet": [
            *["distill", "--teacher", str(foreign), *cache],
            *["--set", f"distill.preprocessing={imagenet}"],
        ],
    }
    lasts = teacher / "last.safetensors"
    needs = {"embedding": (lasts,), "multi_step": (lasts,)}
    lesson = ["train", "iresnet_nano", *common, "--epochs", str(args.teacher_epochs)]
    jobs = [
        Job("teacher", [*lesson, "--out", str(teacher)], lasts),
    ]
    # What waits for no teacher goes first; then seed by seed, so that an arm's first run has filled
    # its cache before the second asks for it.
    order = [("alone", seed) for seed in range(args.seeds)]
    order += [(arm, seed) for seed in range(args.seeds) for arm in ARMS if arm != "alone"]
    for arm, seed in order:
        run = out / f"{arm}_{seed}"
        verb, *options = lessons[arm]
        words = [verb, "pocketnet_nano", *common, *options, "--seed", str(seed)]
        words += ["--epochs", str(args.epochs), "--out", str(run)]
        jobs.append(Job(run.name, words, run / "last.safetensors", needs.get(arm, ())))
    return jobs


def measuring_jobs(args: argparse.Namespace, trained: list[Job]) -> list[Job]:
    """One evaluation per trained network, on pairs of people that none has seen."""
    pairs = ["--images", str(args.data / "lfw112"), "--threads", "1"]
    return [
        Job(
            f"measure {job.name}",
            [
                *["evaluate", str(job.makes), str(args.data / "lfw_open_set.json"), *pairs],
                *["--out", str(job.makes.parent / "test")],
            ],
            job.makes.parent / "test" / "report.json",
            (job.makes,),
        )
        for job in trained
    ]


class Queue:
    """Jobs for a few workers; each takes the first job whose needs are met."""

    def __init__(self, jobs: list[Job], out: Path) -> None:
        self.jobs = [job for job in jobs if not job.makes.exists()]
        self.logs = out / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.failed: list[str] = []
        self.lock = threading.Lock()

    def work(self) -> None:
        """Take jobs until none is left."""
        while job := self._take():
            self._run(job)

    def _take(self) -> Job | None:
        while True:
            with self.lock:
                if self.failed or not self.jobs:
                    return None
                for job in self.jobs:
                    if all(need.exists() for need in job.needs):
                        self.jobs.remove(job)
                        return job
            time.sleep(2)

    def _run(self, job: Job) -> None:
        command = [*POCKETFACE, *job.command]
        if (job.makes.parent / "last.ckpt").exists() and job.command[0] in ("train", "distill"):
            command.append("--resume")
        print(f"{job.name}: pocketface {shlex.join(command[3:])}", flush=True)
        log = self.logs / f"{job.name.replace(' ', '_')}.log"
        with log.open("a") as file:
            ended = subprocess.run(command, stdout=file, stderr=file, check=False)
        if ended.returncode:
            print(f"{job.name} failed; see {log}", flush=True)
            self.failed.append(job.name)


def main() -> None:
    """Run what is not done yet, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/real_faces"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--teacher-epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    trained = training_jobs(args)
    queue = Queue([*trained, *measuring_jobs(args, trained)], args.out)
    workers = [threading.Thread(target=queue.work) for _ in range(args.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if queue.failed:
        sys.exit(1)
    baselines = measure_baselines(args.data)
    write_comparison(args.out, ARMS, args.seeds, baselines)


if __name__ == "__main__":
    main()
