"""Distil PocketNetS-128 from a foreign MobileFaceNet on images of nobody known, and measure it.

    python experiments/pocketnet_s_distilled.py real --data ../shared/data
    python experiments/pocketnet_s_distilled.py synthetic --data ../shared/data

`real` learns from the `train` people of LFW's open set, CelebA's 299 people and a fifth of
synthetic images; `synthetic` from synthetic images alone. Both are measured on LFW pairs of people
that neither saw, and written to weights/ with their cards. What is done is not done again, so that
the command can be stopped and started. They take 60 and 80 minutes of one core; on a GPU:

    python experiments/pocketnet_s_distilled.py real --data ../shared/data --epochs 60 --device cuda
"""

import argparse
import subprocess
import sys
from pathlib import Path

from synthetic_people import command

from pocketface.card import read_card
from pocketface.models.weights import load_backbone, save_weights

TEACHER = "weights/mobilefacenet_foamliu.onnx"
RECIPE = Path(__file__).parent / "recipes" / "pocketnet_s_distilled.yaml"
PEOPLE = {"real": (1600, 2), "synthetic": (8000, 2)}
"""Synthetic people and images of each; few of each, since nobody's name is asked for."""

EPOCHS = {"real": 3, "synthetic": 4}
OPTIONS = {
    "real": [],
    "synthetic": ["--projection=centred", "--set=optimiser.learning_rate=0.4"],
}
"""The teacher finds synthetic faces alike (the mean of its unit embeddings is 0.60 long, that of
LFW's 0.12). The rate was chosen with a smaller student on LFW's train people, after the real
faces' run."""

LESSON = {"real": "", "synthetic": ", less the mean of its embeddings"}
IMAGES = {
    "real": "LFW's 1,120 train people of lfw_open_set.json, CelebA's 299 people, synthetic faces",
    "synthetic": "synthetic faces alone",
}
LICENCES = {
    "real": "research use only: LFW and CelebA are for research",
    "synthetic": "Apache-2.0",
}


def main() -> None:
    """Render, distil, ship, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", choices=sorted(PEOPLE), help="what to learn from")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/pocketnet_s_distilled"))
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument(
        "--epochs", type=int, help="[real 3, synthetic 4: 60 and 80 minutes of one core]"
    )
    parser.add_argument("--device", default="auto", help="as `pocketface distill --device`")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    people, each = PEOPLE[args.images]
    faces = args.out / f"synthetic_{people * each}"
    size = [f"--people={people}", f"--images-per-person={each}"]
    make = ["data", "synth", str(faces), "--only=train", "--layout=rec", *size]
    command(make, faces / "train")
    run = args.out / args.images
    learn = ["distill", str(RECIPE), "--teacher", str(args.data / TEACHER)]
    learn += ["--cache", str(args.out / "cache")]
    if args.images == "real":
        learn += ["--unlabelled", str(args.data / "lfw112")]
        learn += ["--unlabelled", str(args.data / "celeba299_rec")]
        learn += ["--people", str(args.data / "lfw_open_set.json")]
    learn += ["--unlabelled", str(faces / "train")]
    learn += OPTIONS[args.images]
    epochs = args.epochs or EPOCHS[args.images]
    learn += [f"--epochs={epochs}", f"--threads={args.threads}", f"--device={args.device}"]
    command([*learn, "--out", str(run)], run / "last.safetensors")
    shipped = args.weights / f"pocketnet_s_128_{args.images}.safetensors"
    ship(run / "last.safetensors", shipped, args.images, epochs)
    measure = ["evaluate", str(shipped), str(args.data / "lfw_open_set.json"), "--write-card"]
    measure += ["--images", str(args.data / "lfw112")]
    measure += ["--out", str(args.out / f"report_{args.images}")]
    subprocess.run([sys.executable, "-m", "pocketface", *measure], check=True)


def ship(weights: Path, shipped: Path, images: str, epochs: int) -> None:
    """Copy the weights, with a card that says teacher, images and what they may be used for."""
    backbone, card = load_backbone(weights)
    known = read_card(shipped) if shipped.is_file() else None
    if known is not None and known.sha256 == card.sha256:
        return
    shipped.parent.mkdir(parents=True, exist_ok=True)
    save_weights(
        backbone,
        shipped,
        preprocessing=card.preprocessing,
        data=f"{card.data}: {IMAGES[images]}",
        licence=LICENCES[images],
        notes=f"PocketNetS-128, {epochs} epochs without identities, seed 0, angular "
        "distillation from the MobileFaceNet of foamliu/MobileFaceNet (Apache-2.0)"
        f"{LESSON[images]}",
    )


if __name__ == "__main__":
    main()
