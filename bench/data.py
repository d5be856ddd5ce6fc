"""How much reading costs beside decoding: `python bench/data.py`.

Takes batches of a .rec from the training loader (in this process: read, decode, collate, draw
augmentations), reads as many images through `Faces` and `decode_rgb` alone, and compares both
with a bare loop of simplejpeg over bytes in memory. Each gives the images of a whole batch, chosen
at random; the three take turns in random order, so that a busy machine slows all, and the medians
are compared. The bar is a ratio of 1.10.

The data is $POCKETFACE_DATA/celeba299_rec, or ../shared/data/celeba299_rec, or made on the spot.
"""

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from pocketface.data import Faces, decode_rgb, open_faces
from pocketface.data.record_writer import write_faces
from pocketface.train.augment import AugmentConfig
from pocketface.train.loader import FaceLoader

BAR = 1.10
BATCH = 128
LOADER, READER, BARE = NAMES = ("the training loader", "the reader alone", "bare decoding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", type=int, default=9, help="interleaved passes of each loop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faces = open_faces(real_records() or generated_records(Path(folder) / "train.rec"))
        report_overhead(faces, options.passes)


def real_records() -> Path | None:
    here = Path(__file__).resolve().parents[1]
    root = Path(os.environ.get("POCKETFACE_DATA", here.parent / "shared" / "data"))
    records = root / "celeba299_rec" / "train.rec"
    return records if records.is_file() else None


def generated_records(path: Path) -> Path:
    """2,000 smooth 112x112 images with some noise: JPEGs about as large as faces."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(2000):
        coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((112, 112), Image.Resampling.BICUBIC))
        noisy = smooth + rng.normal(0, 4, smooth.shape)
        images.append(simplejpeg.encode_jpeg(np.clip(noisy, 0, 255).astype(np.uint8), quality=88))
    write_faces(path, [20] * 100, images)
    return path


def report_overhead(faces: Faces, passes: int) -> None:
    memory = [faces.encoded(i) for i in range(len(faces))]
    loader = FaceLoader(
        faces, image_size=112, global_batch=BATCH, seed=0, augment=AugmentConfig(), workers=0
    )
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(passes):
        batches = loader.epoch(number)
        for _ in range(loader.steps):
            work = {
                LOADER: lambda batches=batches: next(batches),
                READER: partial(through_the_reader, faces, draw(rng, faces)),
                BARE: partial(bare, memory, draw(rng, faces)),
            }
            for name in rng.permutation(NAMES):
                begin = time.perf_counter()
                kept = work[name]()
                seconds[name].append(time.perf_counter() - begin)
                del kept
    medians = {name: statistics.median(times) / BATCH for name, times in seconds.items()}
    for name, median in medians.items():
        ratio = median / medians[BARE]
        verdict = "" if name == BARE else f"ratio {ratio:.3f}, bar {BAR:.2f}"
        print(f"{name:28s} {1e6 * median:7.1f} us/image  {1 / median:8,.0f} images/s  {verdict}")
    print(f"medians over {len(seconds[BARE])} batches of {BATCH} images each")


def draw(rng: np.random.Generator, faces: Faces) -> list[int]:
    return rng.integers(len(faces), size=BATCH).tolist()


def through_the_reader(faces: Faces, indices: list[int]) -> list[npt.NDArray[np.uint8]]:
    return [decode_rgb(faces.encoded(i), faces.name(i)) for i in indices]


def bare(memory: list[bytes], indices: list[int]) -> list[npt.NDArray[np.uint8]]:
    return [simplejpeg.decode_jpeg(memory[i], colorspace="RGB") for i in indices]


if __name__ == "__main__":
    main()
