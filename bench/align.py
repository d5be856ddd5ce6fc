"""Photographs aligned a second on one core: `python bench/align.py`.

Photographs whose longer side is 640 pixels, as JPEG files, go the whole way that `pocketface align`
goes in each of its processes: read, decode, detect, cut out, measure, write. What is counted is the
processor's time of this one process on one thread, not the clock's, so that what else the machine
does counts for little; waiting for the disk does not count. The bar is 25 photographs a second,
for the median photograph of the passes taken together (the mean is printed beside it).

The photographs are $POCKETFACE_DATA/photos, or ../shared/data/photos; the detector is --detector,
else what `pocketface detector which` says, else the one beside them.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pocketface.atomic import write_bytes
from pocketface.data.alignment import align_face
from pocketface.data.jpeg import encode_png
from pocketface.detect.align_photo import align_photo
from pocketface.detect.detector_file import find_detector
from pocketface.detect.photo import decode_photo, read_file, read_photo
from pocketface.detect.quality import Limits, measure
from pocketface.detect.yunet import YuNet
from pocketface.errors import PocketFaceError

BAR = 25.0
SIDE = 640
DECODE, DETECT, CUT, MEASURE, WRITE = PARTS = ("decode", "detect", "cut out", "measure", "write")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--passes", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    data = Path(os.environ.get("POCKETFACE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    detector = YuNet(detector_path(options.detector, data))
    with tempfile.TemporaryDirectory() as folder:
        photos = enlarged(sorted((data / "photos").glob("*/*.jpg")), Path(folder))
        detector.detect(read_photo(photos[0]))  # the first run makes its plans
        seconds = whole_way(photos, detector, options.passes)
        parts = by_part(photos, detector)
    rate, mean = 1 / statistics.median(seconds), len(seconds) / sum(seconds)
    verdict = "met" if rate >= BAR else "missed"
    print(f"{len(photos)} photographs, {options.passes} passes, OpenCV {cv2.__version__}")
    print(f"whole way   {rate:6.1f} photos/s a core (mean {mean:.1f}); bar {BAR:g}: {verdict}")
    for name, times in parts.items():
        print(f"  {name:9s} {1e3 * statistics.median(times):6.2f} ms")


def detector_path(named: Path | None, data: Path) -> Path:
    try:
        return find_detector(named)
    except PocketFaceError:
        if named is not None:
            raise
        return data / "weights" / "yunet_n_dynamic.onnx"


def enlarged(paths: list[Path], folder: Path) -> list[Path]:
    """The photographs with a longer side of `SIDE`, as JPEG files of quality 90."""
    made = []
    for number, path in enumerate(paths):
        image = Image.fromarray(read_photo(path))
        scale = SIDE / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        made.append(folder / f"{number:03d}.jpg")
        image.resize(size, Image.Resampling.LANCZOS).save(made[-1], quality=90)
    return made


def whole_way(photos: list[Path], detector: YuNet, passes: int) -> list[float]:
    """Processor seconds of each photograph in each pass."""
    seconds = []
    for _ in range(passes):
        for path in photos:
            begin = time.process_time()
            outcome, face = align_photo(read_file(path), path.name, detector, Limits())
            if face is None:
                raise SystemExit(f"{path}: {outcome.result} {outcome.why}")
            write_bytes(path.with_suffix(".png"), encode_png(face))
            seconds.append(time.process_time() - begin)
    return seconds


def by_part(photos: list[Path], detector: YuNet) -> dict[str, list[float]]:
    """The same, step by step."""
    times: dict[str, list[float]] = {name: [] for name in PARTS}
    for path in photos:
        marks = [time.process_time()]
        image = decode_photo(read_file(path), path.name)
        marks.append(time.process_time())
        face = detector.detect(image)[0]
        marks.append(time.process_time())
        aligned = align_face(image, face.landmarks)
        marks.append(time.process_time())
        measure(face.landmarks, aligned, face.score)
        marks.append(time.process_time())
        write_bytes(path.with_suffix(".png"), encode_png(aligned))
        marks.append(time.process_time())
        for name, passed in zip(PARTS, np.diff(marks), strict=True):
            times[name].append(float(passed))
    return times


if __name__ == "__main__":
    main()
