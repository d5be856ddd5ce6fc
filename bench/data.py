"""How much reading costs beside decoding: `python bench/data.py`.

Reads every image of a .rec the way the training loader does (the record from disk, then
`decode_rgb`) and compares with a bare loop of simplejpeg over the same bytes in memory. The two
loops take turns every hundred images, so that a busy machine slows both; the medians of these
turns are compared. The bar is a ratio of 1.10.

The data is $POCKETFACE_DATA/celeba299_rec, or ../shared/data/celeba299_rec, or made on the spot.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from pocketface.data import Faces, decode_rgb, open_faces
from pocketface.data.record_writer import write_faces

BAR = 1.10
TURN = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=6300, help="at most this many images")
    parser.add_argument("--passes", type=int, default=9, help="interleaved passes of each loop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faces = open_faces(real_records() or generated_records(Path(folder) / "train.rec"))
        report_overhead(faces, min(options.images, len(faces)), options.passes)


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


def report_overhead(faces: Faces, count: int, passes: int) -> None:
    memory = [faces.encoded(i) for i in range(count)]

    def through_faces(turn: range) -> None:
        for i in turn:
            decode_rgb(faces.encoded(i), faces.name(i))

    def bare(turn: range) -> None:
        for i in turn:
            simplejpeg.decode_jpeg(memory[i], colorspace="RGB")

    loops = [("through the reader", through_faces), ("bare decoding", bare)]
    seconds: dict[str, list[float]] = {name: [] for name, _ in loops}
    for _ in range(passes):
        for first in range(0, count, TURN):
            turn = range(first, min(first + TURN, count))
            for name, loop in loops:
                seconds[name].append(timed(loop, turn) / len(turn))
            loops.reverse()  # neither always finds the caches warm
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:20s} {1e6 * median:7.1f} us/image  {1 / median:8,.0f} images/s")
    ratio = medians["through the reader"] / medians["bare decoding"]
    verdict = "within" if ratio <= BAR else "ABOVE"
    print(f"ratio {ratio:.3f} ({verdict} the bar of {BAR:.2f}; {count:,} images, {passes} passes)")


def timed(loop: Callable[[range], None], turn: range) -> float:
    begin = time.perf_counter()
    loop(turn)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
