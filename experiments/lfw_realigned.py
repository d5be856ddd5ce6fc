"""Does it matter who aligned the faces? LFW's crops, found and cut out once more by YuNet.

Every crop of the 6,000 pairs is padded with black, enlarged, searched for a face, and cut out of
itself again by the five points that are found. A crop where nothing is found keeps its own pixels
and is counted. The network is then measured on both, and the figures are compared pair by pair:
the pairs, the people and the draws are the same, only the pixels were cut again. Both are crops of
one photograph, so the second is sampled twice, and what was cut off the first is black in it.

Stopped, it goes on where it was: crops and embeddings are kept below `--out`.

    python experiments/lfw_realigned.py --data ../shared/data --out runs/lfw_realigned
"""

import argparse
import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pocketface import atomic
from pocketface.benchmarks.comparison import compare
from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.benchmarks.pair_figures import figures
from pocketface.benchmarks.report import Measurement, check_folder, write_report
from pocketface.benchmarks.stream import embed_to_file
from pocketface.data.alignment import TEMPLATE, align_face, fit_similarity, invert_similarity, move
from pocketface.data.jpeg import encode_png
from pocketface.data.pairs import ImageFiles, PairSet, load_pairs
from pocketface.detect.detector import Detector, Face, choose_face
from pocketface.detect.yunet import YuNet
from pocketface.embedding import load_embedder
from pocketface.embedding.unit import squared_distances, unit
from pocketface.preprocessing import Preprocessing

WEIGHTS = "mobilefacenet_foamliu.onnx"
DETECTOR = "yunet_n_dynamic.onnx"
IMAGENET = Preprocessing(
    image_size=112, channel_order="rgb", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
BORDER = 56
"""Black pixels around a crop, so that its face does not touch the picture's edge."""
ENLARGED = 2


@dataclass(frozen=True)
class KeptPairs(PairBenchmark):
    """A pair benchmark whose embeddings are kept in `work`, so that a stopped run goes on."""

    work: Path = Path()

    def distances(self, embedder: Any, progress: Any = None, *, flip: bool = True) -> Any:
        """As the benchmark's own."""
        pairs = self.pairs
        rows = embed_to_file(
            self.work / "embeddings.npy",
            len(pairs.images),
            pairs.pixels,
            embedder,
            flip=flip,
            plan={"pairs": self.data},
            progress=progress,
        )
        directions = unit(rows, pairs.names)
        return squared_distances(directions[pairs.left], directions[pairs.right])


def main() -> None:
    """Cut the crops again, measure both, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/lfw_realigned"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    check_folder(args.out)
    pairs = load_pairs(args.data / "lfw_pairs.txt", args.data / "lfw112")
    detector = YuNet(args.data / "weights" / DETECTOR)
    crops = args.out / "crops"
    found = realign(pairs, crops, detector)
    print(found, flush=True)
    weights = args.out / WEIGHTS
    if not weights.exists():
        shutil.copyfile(args.data / "weights" / WEIGHTS, weights)
    embedder = load_embedder(weights, IMAGENET, args.threads)
    names = [f"{name}.png" for name in pairs.names]
    again = PairSet(
        ImageFiles(crops, names), pairs.left, pairs.right, pairs.same, pairs.names, pairs.folds
    )
    runs = []
    for name, chosen in (("as they are", pairs), ("aligned again", again)):
        work = args.out / name.replace(" ", "_")
        runs.append(
            KeptPairs("LFW", chosen, work).run(
                embedder, replicates=args.replicates, seed=args.seed, model=f"crops {name}"
            )
        )
        print(runs[-1].result.rows()[0], flush=True)
    before, after = runs
    if before.replicates is None or after.replicates is None:
        raise SystemExit("--replicates must be above 0: they make the interval.")
    # The pictures differ, and so does the content that a comparison wants to be the same; pairs,
    # people and draws are.
    second = replace(before.replicates, data=after.replicates.data)
    comparison = compare(
        "LFW", after.result.model.name, after.replicates, before.result.model.name, second
    )
    for run, name in ((before, "as_they_are"), (after, "aligned_again")):
        write_report(
            args.out / name,
            Measurement(
                run.result,
                figures(run.result, run.scores, run.pairs.same),
                run.cases,
                run.replicates,
                run.scores,
                comparison if run is after else None,
            ),
        )
    for row in comparison.rows():
        print(*row, sep=" | ")


def realign(pairs: PairSet, folder: Path, detector: Detector) -> str:
    """Write each crop, cut out again, as `folder/<name>.png`; says in words what became of them."""
    notes = folder / "moved.json"
    moved: dict[str, float | None] = json.loads(notes.read_text()) if notes.is_file() else {}
    counts: Counter[str] = Counter()
    for number, name in enumerate(pairs.names):
        path = folder / f"{name}.png"
        if name not in moved or not path.is_file():
            crop = pairs.pixels(number)
            face = find(crop, detector)
            moved[name] = None if face is None else displacement(face)
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(
                path, encode_png(crop if face is None else align_face(crop, face.landmarks))
            )
            if number % 500 == 0:
                atomic.write_text(notes, json.dumps(moved))
        counts["found" if moved[name] is not None else "not found"] += 1
    atomic.write_text(notes, json.dumps(moved))
    far = np.array([value for value in moved.values() if value is not None])
    return (
        f"{len(pairs.names):,} crops: {counts['found']:,} aligned again, {counts['not found']:,} "
        f"kept as they are; the template's points lie {np.median(far):.2f} pixels from where they "
        f"lay (median; 95 % within {np.quantile(far, 0.95):.2f}, at most {far.max():.2f})."
    )


def find(crop: np.ndarray, detector: Detector) -> Face | None:
    """The face in a crop, its points in the crop's pixels; None where none is found."""
    wide = np.pad(crop, ((BORDER, BORDER), (BORDER, BORDER), (0, 0)))
    side = wide.shape[0] * ENLARGED
    large = np.asarray(Image.fromarray(wide).resize((side, side), Image.Resampling.BICUBIC))
    faces = detector.detect(np.ascontiguousarray(large))
    if not faces:
        return None
    chosen = faces[choose_face(faces, side, side).place]
    # Pixel (x, y) has its centre at (x, y), so half a pixel goes off on either scale.
    return replace(chosen, landmarks=(chosen.landmarks + 0.5) / ENLARGED - 0.5 - BORDER)


def displacement(face: Face) -> float:
    """How far cutting again moves the template's points, root mean square in pixels."""
    back = invert_similarity(fit_similarity(face.landmarks[None]))[0]
    return float(np.sqrt(np.square(move(TEMPLATE, back) - TEMPLATE).sum(axis=1).mean()))


if __name__ == "__main__":
    main()
