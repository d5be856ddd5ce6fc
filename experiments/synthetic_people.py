"""Measure how hard the synthetic people are, and what a network learns from them.

Makes 1,000 people to learn from and the six pair sets, trains a small IResNet on the people,
measures it beside raw pixels and PCA on every pair set, on one circumstance at a time, and on real
LFW. What is done is not done again, so the experiment can be stopped and started:

    python experiments/synthetic_people.py --data ../shared/data --out runs/synthetic_people
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines import PcaEmbedder, faces_of
from difficulty import draw_curves, measure_curves

from pocketface import atomic
from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.data import open_faces
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.load import load_embedder
from pocketface.embedding.pixels import PixelEmbedder

SETS = ("lfw", "calfw", "cplfw", "cfp_ff", "cfp_fp", "agedb_30")
COMPONENTS = (50, 100, 150, 200, 400)
"""Sizes of PCA that are tried; the best on each set is shown, in its favour."""


def command(words: list[str], makes: Path) -> None:
    """Run a command of the package unless its result is there."""
    if makes.exists():
        return
    if (makes.parent / "last.ckpt").exists():
        words = [*words, "--resume"]
    subprocess.run([sys.executable, "-m", "pocketface", *words], check=True)


def best_of(benchmark: PairBenchmark, embedders: Sequence[Embedder]) -> float:
    """The highest accuracy of several."""
    return max(benchmark.run(e, replicates=0).result.accuracy.value for e in embedders)


def main() -> None:
    """Make, train, measure; print the table and write it beside the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="for LFW")
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic_people"))
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--images-per-person", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--scale", type=float, default=5.0, help="of the pair sets; 5 is 3,000")
    parser.add_argument("--curve-people", type=int, default=600)
    args = parser.parse_args()
    faces, run = args.out / "people", args.out / "iresnet"
    size = [f"--people={args.people}", f"--images-per-person={args.images_per_person}"]
    only = ",".join(("train", *SETS))
    make = ["data", "synth", str(faces), "--only", only, *size, f"--scale={args.scale:g}"]
    command(make, faces / "train")
    learn = ["train", "iresnet_nano", "--data", str(faces / "train"), "--threads=1"]
    weights = run / "last.safetensors"
    command([*learn, f"--epochs={args.epochs}", "--out", str(run)], weights)

    network = load_embedder(weights)
    pixels = PixelEmbedder()
    images = faces_of(open_faces(faces / "train"))
    rows = []
    sets = {f"{name}-like": PairBenchmark.load(faces / f"{name}.bin") for name in SETS}
    if (args.data / "lfw112").is_dir():
        real = args.data / "lfw112"
        sets["LFW View 2 (real)"] = PairBenchmark.load(args.data / "lfw_pairs.txt", real)
        sets["LFW, open set (real)"] = PairBenchmark.load(args.data / "lfw_open_set.json", real)
    plain = [PcaEmbedder(images, count, whiten=False) for count in COMPONENTS]
    whitened = [PcaEmbedder(images, count) for count in COMPONENTS]
    for name, benchmark in sets.items():
        found = benchmark.run(network, replicates=1000).result.accuracy
        row = {
            "set": name,
            "raw pixels": best_of(benchmark, [pixels]),
            "PCA": best_of(benchmark, plain),
            "whitened PCA": best_of(benchmark, whitened),
            "IResNet": found.value,
            "interval": [found.low, found.high],
        }
        print(row, flush=True)
        rows.append(row)
    curves = measure_curves({"IResNet": network, "raw pixels": pixels}, 0, args.curve_people)
    draw_curves(args.out / "difficulty.png", curves)
    atomic.write_text(
        args.out / "synthetic_people.json", json.dumps({"sets": rows, "curves": curves}, indent=1)
    )


if __name__ == "__main__":
    main()
