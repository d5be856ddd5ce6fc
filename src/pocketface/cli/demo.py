"""`pocketface demo`: the main job, whole, by the commands that a person would type."""

import os
from pathlib import Path
from typing import Annotated

import typer

EPOCHS = "5"


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Real faces. [$POCKETFACE_DATA, else ../shared/data]"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of what is made.")] = Path("runs/demo"),
) -> None:
    """Train a teacher, distil a PocketNet from it in steps, measure it, compare two faces.

    About ten minutes on two cores. Each command is printed before it runs, so that it can be
    repeated on other data. A demo that was stopped goes on where it was.
    """
    from rich.console import Console

    from pocketface.cli.main import app
    from pocketface.errors import RecipeError

    source = data or Path(os.environ.get("POCKETFACE_DATA", "../shared/data"))
    faces, split = source / "lfw112", source / "lfw_open_set.json"
    if not faces.is_dir() or not split.is_file():
        raise RecipeError(
            f"the demo needs real faces: {faces} (a folder per person, aligned to 112x112) and "
            f"{split} (people to learn from, pairs of others to test on), and found none there. "
            "Name their folder with --data or POCKETFACE_DATA."
        )
    console = Console()
    for words in _commands(faces, split, out):
        console.print(f"\n$ pocketface {' '.join(words)}", style="bold", soft_wrap=True)
        app(words, standalone_mode=False)
    console.print(
        f"\nThe student's report: {out}/report/report.html; its weights: "
        f"{out}/student/last.safetensors; both runs' curves: {out}/*/figures/training.png",
        soft_wrap=True,
    )


def _commands(faces: Path, split: Path, out: Path) -> list[list[str]]:
    teacher, student = out / "teacher", out / "student"
    learn = ["--data", str(faces), "--people", str(split), "--epochs", EPOCHS]
    weights = str(student / "last.safetensors")
    first = [
        "Gerhard_Schroeder/Gerhard_Schroeder_0009.jpg",
        "Gerhard_Schroeder/Gerhard_Schroeder_0034.jpg",
    ]
    other = [
        "Gerhard_Schroeder/Gerhard_Schroeder_0009.jpg",
        "Terry_Bradshaw/Terry_Bradshaw_0001.jpg",
    ]
    return [
        _resumed(["train", "iresnet_nano", *learn, "--out", str(teacher)], teacher),
        _resumed(
            [
                *["distill", "pocketnet_nano", "--teacher", str(teacher), "--multi-step"],
                *[*learn, "--out", str(student)],
            ],
            student,
        ),
        ["evaluate", weights, str(split), "--images", str(faces), "--out", str(out / "report")],
        *(
            ["verify", *(str(faces / name) for name in pair), "--weights", weights, "--far", "0.01"]
            for pair in (first, other)
        ),
    ]


def _resumed(words: list[str], run: Path) -> list[str]:
    return [*words, "--resume"] if (run / "last.ckpt").exists() else words
