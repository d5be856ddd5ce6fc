"""Distil PocketNetS-128 from a foreign MobileFaceNet on images of nobody known, and measure it.

    python experiments/pocketnet_s_distilled.py real --data ../shared/data
    python experiments/pocketnet_s_distilled.py synthetic --data ../shared/data

`real` learns from the `train` people of LFW's open set, CelebA's 299 people and a fifth of
synthetic images; `synthetic` from synthetic images alone. Both are measured on LFW pairs of people
that neither saw, and written to weights/ with their cards. What is done is not done again, so that
the command can be stopped and started. On two cores each takes about an hour.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from synthetic_people import command

from pocketface.card import read_card
from pocketface.models.weights import load_backbone, save_weights

TEACHER = "weights/mobilefacenet_foamliu.onnx"
TAUGHT_BY = "taught by the MobileFaceNet of foamliu/MobileFaceNet (Apache-2.0)"
PEOPLE = {"real": (1600, 2), "synthetic": (8000, 2)}
"""Synthetic people and images of each; few of each, since nobody's name is asked for."""

EPOCHS = {"real": 3, "synthetic": 2}

LICENCES = {
    "real": "research use: LFW's and CelebA's images are for research",
    "synthetic": "Apache-2.0",
}


def main() -> None:
    """Render, distil, ship, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", choices=sorted(PEOPLE), help="what to learn from")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/pocketnet_s_distilled"))
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    people, each = PEOPLE[args.images]
    faces = args.out / f"synthetic_{people * each}"
    size = [f"--people={people}", f"--images-per-person={each}"]
    make = ["data", "synth", str(faces), "--only=train", "--layout=rec", *size]
    command(make, faces / "train")
    real = [args.data / "lfw112", args.data / "celeba299_rec"] if args.images == "real" else []
    learn_from = [*real, faces / "train"]
    run = args.out / args.images
    weights = run / "last.safetensors"
    learn = distilling(args.data, learn_from, args.out / "cache")
    how = [f"--epochs={EPOCHS[args.images]}", f"--threads={args.threads}"]
    command([*learn, *how, "--out", str(run)], weights)
    name = f"pocketnet_s_128_{args.images}.safetensors"
    shipped = ship(weights, args.weights / name, args.images)
    measure = ["evaluate", str(shipped), str(args.data / "lfw_open_set.json")]
    images = ["--images", str(args.data / "lfw112"), "--write-card"]
    report = args.out / f"report_{args.images}"
    subprocess.run(
        [sys.executable, "-m", "pocketface", *measure, *images, "--out", str(report)], check=True
    )


def distilling(data: Path, images: list[Path], cache: Path) -> list[str]:
    """The words of `pocketface distill`."""
    recipe = Path(__file__).parent / "recipes" / "pocketnet_s_distilled.yaml"
    return [
        *("distill", str(recipe), "--teacher", str(data / TEACHER), "--cache", str(cache)),
        *(word for path in images for word in ("--unlabelled", str(path))),
        *("--people", str(data / "lfw_open_set.json")),
    ]


def ship(weights: Path, path: Path, images: str) -> Path:
    """Copy the weights, with a card that says teacher, images and what they may be used for."""
    backbone, card = load_backbone(weights)
    known = read_card(path)
    if known is None or known.sha256 != card.sha256:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(
            backbone,
            path,
            preprocessing=card.preprocessing,
            data=f"{card.data}; {TAUGHT_BY}",
            licence=LICENCES[images],
            notes=card.notes,
        )
    return path


if __name__ == "__main__":
    main()
