"""`pocketface demo`: the main job, whole, by the commands that a person would type."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pocketface.data.pairs import PairSet
    from pocketface.demo.page import Story

SETS = ("lfw", "calfw", "cplfw", "cfp_fp", "agedb_30")
SHOWN = "lfw"
GALLERIES = {"ijbb": "IJBB", "ijbc": "IJBC", "megaface": "MegaFace"}
"""The sets that are folders, by their names in `data synth`."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of what is made.")] = Path("runs/demo"),
    people: Annotated[int, typer.Option("--people", min=50, help="Synthetic people.")] = 300,
    images: Annotated[int, typer.Option("--images-per-person", min=2)] = 20,
    epochs: Annotated[int, typer.Option("--epochs", min=2, help="Of teacher and student.")] = 5,
    scale: Annotated[float, typer.Option("--scale", help="Of the test sets.")] = 1.0,
) -> None:
    """Make people, train a teacher, distil a PocketNet from it in steps, measure, export, compare.

    It needs nothing but this package, and ends with a page. Each command is printed before it
    runs, so that it can be repeated on other data. A demo that was stopped goes on where it was.
    """
    import shlex

    from rich.console import Console

    from pocketface.cli.main import app
    from pocketface.demo.page import write_page

    console = Console()
    began = time.monotonic()
    done: list[tuple[list[str], float]] = []

    def run(words: list[str]) -> None:
        console.print(f"\n$ pocketface {shlex.join(words)}", style="bold", soft_wrap=True)
        started = time.monotonic()
        app(words, standalone_mode=False)
        done.append((words, time.monotonic() - started))

    faces = out / "people"
    chosen = ["--people", str(people), "--images-per-person", str(images), "--scale", f"{scale:g}"]
    everything = ",".join(("train", *SETS, *GALLERIES))
    run(["data", "synth", str(faces), "--only", everything, *chosen])
    learn = ["--data", str(faces / "train"), "--epochs", str(epochs)]
    teacher, student = out / "teacher", out / "student"
    run(_resumed(["train", "iresnet_nano", *learn, "--out", str(teacher)], teacher))
    lesson = ["distill", "pocketnet_nano", "--teacher", str(teacher), "--multi-step", *learn]
    run(_resumed([*lesson, "--out", str(student)], student))
    for network in (teacher, student):
        for name in SETS:
            report = out / "reports" / f"{network.name}_{name}"
            weights = str(network / "last.safetensors")
            run(["evaluate", weights, str(faces / f"{name}.bin"), "--out", str(report)])
    for name, folder in GALLERIES.items():
        report = out / "reports" / f"{student.name}_{name}"
        weights = str(student / "last.safetensors")
        run(["evaluate", weights, str(faces / folder), "--out", str(report)])
    exported = out / "student.onnx"
    run(["export", str(student / "last.safetensors"), str(exported), "--overwrite"])
    story = _story(out, faces, (teacher, student), done)
    one, same, other = _three_faces(out / "faces", story.pairs)
    for second in (same, other):
        run(["verify", str(one), str(second), "--weights", str(exported), "--far", "0.01"])
    page = write_page(out / "report.html", story)
    console.print(
        f"\nThe whole took {(time.monotonic() - began) / 60:.1f} minutes. Open {page}",
        soft_wrap=True,
    )


def _resumed(words: list[str], run: Path) -> list[str]:
    return [*words, "--resume"] if (run / "last.ckpt").exists() else words


def _story(
    out: Path, faces: Path, runs: tuple[Path, Path], commands: list[tuple[list[str], float]]
) -> "Story":
    """Read what the commands left, and measure raw pixels on the same pairs."""
    from pocketface.benchmarks.pair_benchmark import PairBenchmark
    from pocketface.benchmarks.pair_result import PairResult
    from pocketface.benchmarks.report import read_any_report, read_report, read_scores
    from pocketface.demo.page import Story
    from pocketface.demo.tradeoff import Measured
    from pocketface.embedding.pixels import PixelEmbedder
    from pocketface.models.cost import measure_cost
    from pocketface.models.weights import load_backbone

    benchmarks = {name: PairBenchmark.load(faces / f"{name}.bin") for name in SETS}
    pixels = {
        name: benchmark.run(PixelEmbedder(), replicates=0).result.accuracy.value
        for name, benchmark in benchmarks.items()
    }
    networks: list[Measured] = []
    results: dict[str, PairResult] = {}
    for run in runs:
        backbone, card = load_backbone(run / "last.safetensors")
        cost = measure_cost(backbone)
        results = {
            name: read_report(out / "reports" / f"{run.name}_{name}" / "report.json", PairResult)
            for name in SETS
        }
        accuracy = {name: result.accuracy.value for name, result in results.items()}
        title = f"{run.name} ({card.architecture})"
        networks.append(Measured(title, cost.parameters, cost.macs, accuracy))
    return Story(
        networks=networks,
        pixels=pixels,
        results=results,
        galleries=[
            read_any_report(out / "reports" / f"{runs[-1].name}_{name}" / "report.json")
            for name in GALLERIES
        ],
        pairs=benchmarks[SHOWN].pairs,
        shown=SHOWN,
        scores=read_scores(out / "reports" / f"{runs[-1].name}_{SHOWN}" / "report.json"),
        curves={run.name: run / "figures" / "training.png" for run in runs},
        commands=commands,
    )


def _three_faces(folder: Path, pairs: "PairSet") -> tuple[Path, Path, Path]:
    """Write two faces of one person and one of another, from the pairs, as files."""
    import numpy as np
    from PIL import Image

    same = int(np.flatnonzero(pairs.same)[0])
    apart = int(np.flatnonzero(~pairs.same)[0])
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / "one.png", folder / "one_again.png", folder / "another.png")
    images = (pairs.left[same], pairs.right[same], pairs.right[apart])
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(pairs.pixels(int(image))).save(path)
    return paths
