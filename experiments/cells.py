"""Search cells on faces and on textures, and compare them with random and published ones.

Makes synthetic people and as many textures, searches cells on each with three seeds, draws random
cells that cost as much as those of faces, trains all alike and compares them on pairs of synthetic
and of real people (`cells.yaml`). What is done is not done again, so the experiment can be stopped
(Ctrl-C) and started:

    python experiments/cells.py --data ../shared/data --out runs/cells
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from synthetic_people import command

from pocketface import atomic
from pocketface.models import outline_model
from pocketface.models.genotype import PRESETS, Genotype
from pocketface.profile.pieces import Shape
from pocketface.search.collapse import pool_count, skip_count
from pocketface.search.cost_tables import CostTables
from pocketface.search.random_cell import random_genotype_of_macs

DESIGN = Path(__file__).parent / "cells.yaml"
SOURCES = ("faces", "textures")
SEEDS = range(3)
TOLERANCE = 0.02
"""How far the multiply-accumulates of random cells may be from those of faces, as a part."""


class Row(NamedTuple):
    """Cells and what they cost: `skips` and `pools` of 16 edges."""

    arm: str
    seed: int | None
    parameters: int
    macs: int
    skips: int
    pools: int


def main() -> None:
    """Make, search, draw, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="for LFW")
    parser.add_argument("--people", type=Path, default=Path("runs/distil_people"))
    parser.add_argument("--out", type=Path, default=Path("runs/cells"))
    parser.add_argument("--classes", type=int, default=400, help="people, and textures")
    parser.add_argument("--images", type=int, default=15, help="of each person and texture")
    parser.add_argument("--scale", type=float, default=5.0, help="of the pair sets; 5 is 3,000")
    parser.add_argument("--preset", default="small", help="as `pocketface search --preset`")
    parser.add_argument("--search-epochs", type=int, help="[the preset's]")
    parser.add_argument("--device", default="auto", help="as `pocketface search --device`")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--jobs", type=int, default=2, help="searches, or trainings, at a time")
    parser.add_argument("--minutes", type=float, help="as `pocketface compare --minutes`")
    args = parser.parse_args()
    size = [f"--people={args.classes}", f"--images-per-person={args.images}"]
    sets = [*size, f"--scale={args.scale:g}", "--only=train,lfw,agedb_30"]
    run(["data", "synth", str(args.people), *sets])
    textures = args.out / "textures"
    run(["data", "textures", str(textures), f"--classes={args.classes}", f"--images={args.images}"])
    search_all({"faces": args.people / "train", "textures": textures}, args)
    rows = draw_random(args.out, CostTables.of_shape(shape()))
    print_rows(rows)
    content = json.dumps([row._asdict() for row in rows], indent=1)
    atomic.write_text(args.out / "cells.json", content + "\n")

    words = ["compare", str(design(args)), "--out", str(args.out / "compare")]
    words += [f"--jobs={args.jobs}", f"--threads={args.threads}", f"--device={args.device}"]
    run(words if args.minutes is None else [*words, f"--minutes={args.minutes:g}"])


def run(words: list[str]) -> None:
    """Run a command of the package, which knows by itself what is done already."""
    subprocess.run([sys.executable, "-m", "pocketface", *words], check=True)


def search_all(images: Mapping[str, Path], args: argparse.Namespace) -> None:
    """Search on every source with every seed, some at a time."""
    pool = ThreadPoolExecutor(args.jobs)
    try:
        # Seed by seed, so that a stop leaves whole seeds.
        works = [
            pool.submit(search, images[source], args.out / f"search_{source}_{seed}", seed, args)
            for seed in SEEDS
            for source in SOURCES
        ]
        for work in works:
            work.result()
    finally:
        pool.shutdown(cancel_futures=True)


def search(images: Path, folder: Path, seed: int, args: argparse.Namespace) -> None:
    """Search cells on `images`, or go on with that, unless they are found."""
    found = folder / "summary.json"
    if not found.exists():
        print(f"searching {folder}", flush=True)
    words = ["search", str(images), "--out", str(folder), "--preset", args.preset]
    words += [f"--seed={seed}", f"--threads={args.threads}", f"--device={args.device}", "--quiet"]
    if args.search_epochs is not None:
        words.append(f"--epochs={args.search_epochs}")
    command(words, found)


def shape() -> Shape:
    """The network that `cells.yaml` trains."""
    content = yaml.safe_load(DESIGN.read_text(encoding="utf-8"))
    return Shape.of(outline_model(content["recipe"], image_size=content["set"]["model.image_size"]))


def draw_random(out: Path, costs: CostTables) -> list[Row]:
    """Draw random cells for each seed that cost as much as those of faces; gives all cells."""
    rows = []
    for seed in SEEDS:
        found = {
            source: Genotype.load(out / f"search_{source}_{seed}" / "genotype.json")
            for source in SOURCES
        }
        macs = costs.of(found["faces"]).macs
        rng = np.random.default_rng([seed, macs])
        found["random"] = random_genotype_of_macs(rng, costs, macs, TOLERANCE)
        path = out / f"random_{seed}" / "genotype.json"
        if not path.exists() or Genotype.load(path) != found["random"]:
            found["random"].save(path)
        rows += [row_of(arm, seed, genotype, costs) for arm, genotype in found.items()]
    return rows + [row_of(f"published_{n}", None, g, costs) for n, g in PRESETS.items()]


def row_of(arm: str, seed: int | None, genotype: Genotype, costs: CostTables) -> Row:
    """What cells cost and hold."""
    cost, edges = costs.of(genotype), (*genotype.normal, *genotype.reduce)
    return Row(arm, seed, cost.parameters, cost.macs, skip_count(edges), pool_count(edges))


def print_rows(rows: list[Row]) -> None:
    """A table for the screen."""
    print(f"{'cells':18} {'seed':>4} {'parameters':>10} {'MACs':>10} {'skips':>5} {'pools':>5}")
    for row in rows:
        seed = "" if row.seed is None else str(row.seed)
        print(
            f"{row.arm:18} {seed:>4} {row.parameters:10,} {row.macs:10,} {row.skips:5} "
            f"{row.pools:5}",
            flush=True,
        )


def design(args: argparse.Namespace) -> Path:
    """`cells.yaml` with the folders that were asked for, beside the results."""
    content = yaml.safe_load(DESIGN.read_text(encoding="utf-8"))
    given = {"data": str(args.data), "people": str(args.people), "cells": str(args.out)}
    real = (args.data / "lfw112").is_dir()
    if content["names"] == given and real:
        return DESIGN
    content["names"] = given
    if not real:
        del content["measure"]["LFW, open set"]
    path: Path = args.out / "cells.yaml"
    atomic.write_text(path, yaml.safe_dump(content, sort_keys=False))
    return path


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
