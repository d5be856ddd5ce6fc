"""Measure a network on a MegaFace-like protocol made of LFW.

Probes are the people with two or more images, at most ten of each, since one has 530; distractors
are the people with one. The lists are the devkit's, with 10, 100, 1,000 and all distractors; the
images are reached through links. The measurement is `pocketface evaluate`; stopped, it goes on
where it was:

    python experiments/lfw_megaface.py --data ../shared/data --out runs/lfw_megaface
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from pocketface.benchmarks.megaface.lists import (
    PROBE_LIST,
    write_distractor_list,
    write_probe_list,
)

MOST_EACH = 10
SIZES = (10, 100, 1000)
WEIGHTS = "mobilefacenet_foamliu.onnx"
IMAGENET = [
    "--size",
    "112",
    "--order",
    "rgb",
    "--mean",
    ".485,.456,.406",
    "--std",
    ".229,.224,.225",
]


def main() -> None:
    """Lay the set out, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/lfw_megaface"))
    parser.add_argument("--seed", type=int, default=0, help="Which distractors the lists choose.")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    folder = args.out / "LFW-MegaFace"
    lay_out(args.data / "lfw112", folder, np.random.default_rng(args.seed))
    weights = args.out / WEIGHTS
    if not weights.exists():
        shutil.copyfile(args.data / "weights" / WEIGHTS, weights)
    command = [sys.executable, "-m", "pocketface", "evaluate", str(weights), str(folder), *IMAGENET]
    command += ["--threads", str(args.threads), "--out", str(args.out / "report")]
    sys.exit(subprocess.run(command, check=False).returncode)


def lay_out(lfw: Path, folder: Path, generator: np.random.Generator) -> None:
    """Write MegaFace's folders and lists for the people in `lfw`, one folder each."""
    images = {
        person.name: sorted(image.name for image in person.glob("*.jpg"))
        for person in sorted(lfw.iterdir())
    }
    probes, distractors = [], []
    for person, names in images.items():
        paths = [f"{person}/{name}" for name in names[:MOST_EACH]]
        (probes if len(paths) > 1 else distractors).extend(paths)
    lists = folder / "templatelists"
    lists.mkdir(parents=True, exist_ok=True)
    write_probe_list(lists / PROBE_LIST, probes, [path.split("/")[0] for path in probes])
    for size in (*SIZES, len(distractors)):
        chosen = generator.permutation(len(distractors))[:size]
        write_distractor_list(lists, [distractors[row] for row in chosen])
    for name in ("facescrub", "megaface"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(lfw.resolve(), target_is_directory=True)


if __name__ == "__main__":
    main()
