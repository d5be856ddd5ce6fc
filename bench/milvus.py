"""A gallery in Milvus Lite beside one in a file: `python bench/milvus.py`.

100,000 random people of 128 numbers, one template each, enrolled in the file and copied to Milvus
Lite, once for each index. Told are: the time of the copy; whether the answers (top 10 people, all
figures) are those of the file; for an approximate index its recall, measured as `gallery check`
does; and the time of a search, one query and 64 together. File and Milvus take turns, since the
machine may be busy with other things; told are the medians.

Milvus Lite is for trying and testing: its times say nothing of a server's.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from gallery import MAKER, SEED, SIZE, TOP, fill, turns
from pocketface.gallery import SqliteGallery
from pocketface.gallery.milvus_gallery import MilvusGallery
from pocketface.gallery.recall import measure_recall
from pocketface.gallery.transfer import copy_gallery
from pocketface.gallery.where import gallery_at

TEMPLATES, TOGETHER, FACES = 100_000, 64, 200


def main(scale: float, rounds: int, kinds: list[str]) -> None:
    count = int(scale * TEMPLATES)
    queries = np.random.default_rng(SEED + 1).standard_normal((FACES, SIZE))
    with tempfile.TemporaryDirectory(prefix="milvus-") as name:
        path = Path(name) / "bench.gallery"
        fill(path, count)
        with SqliteGallery(path, MAKER) as file:
            for kind in kinds:
                with gallery_at(f"milvus:{name}/{kind}.db", MAKER, index=kind) as milvus:
                    measure(file, milvus, queries, count, rounds)


def measure(
    file: SqliteGallery, milvus: MilvusGallery, queries: np.ndarray, count: int, rounds: int
) -> None:
    kind = milvus.index.kind
    began = time.perf_counter()
    copy_gallery(file, milvus)
    print(f"{kind}: {count:,} templates copied in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    milvus.search(queries[:1], TOP)
    print(f"{kind}: first search {time.perf_counter() - began:.1f} s", flush=True)
    found = milvus.search(queries, TOP)
    equal = sum(mine == other for mine, other in zip(found, file.search(queries, TOP), strict=True))
    print(f"{kind}: {equal} of {len(queries)} answers of random directions are the file's")
    if milvus.index.exact and equal < len(queries):
        raise SystemExit("an exact index gave another answer")
    recall = measure_recall(milvus, FACES, np.random.default_rng(SEED + 2))
    at = ", ".join(f"recall@{k} {value:.4f}" for k, value in recall.at.items())
    print(f"{kind}: {at}, of {recall.faces} faces", flush=True)
    for number in (1, TOGETHER):
        galleries = {"file": file, "Milvus": milvus}
        seconds = turns(
            {name: partial(each.search, queries[:number], TOP) for name, each in galleries.items()},
            rounds,
        )
        told = ", ".join(
            f"{name} {1e3 * statistics.median(clock for clock, _ in times):.1f} ms"
            for name, times in seconds.items()
        )
        print(f"{kind}, {number} queries, top {TOP}: {told}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--index", nargs="+", default=["FLAT", "HNSW", "IVF_FLAT"])
    options = parser.parse_args()
    main(options.scale, options.rounds, options.index)
