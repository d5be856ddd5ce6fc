"""Searching 1,000,000 templates of 128 numbers: `python bench/gallery.py`.

Random people, one template each, in a gallery as `pocketface enroll` writes it. What is timed is
the whole of `SqliteGallery.search`: whether the file changed, the comparison, the top 10, their
names. The yardstick for one query is the bare matrix-vector product over the same mapped block, for
64 queries the matrix product, as one call and in blocks whose scores stay in the cache (each thrown
away); the quicker of the two counts. Ours and the yardsticks take turns, since the machine may be
busy with other things at any one time; told are the medians, the ratio of these, the ratios' spread
round by round, and the ratio of processor time, which other work disturbs least. float16 has half
the memory; its ratio is told beside the same bare product in float32.

The first top is checked against a plain sort. `--scale` shrinks the gallery, to try the bench.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from pocketface.gallery import Maker, SqliteGallery, Template
from pocketface.gallery.block import Precision
from pocketface.preprocessing import Preprocessing

TEMPLATES, SIZE, TOP, TOGETHER = 1_000_000, 128, 10, 64
BLOCK = 1 << 15
MOST_TIMES = 1.5
SEED = 0
MAKER = Maker("0" * 64, SIZE, True, "random.onnx", Preprocessing())


def main(scale: float, rounds: int, folder: Path | None) -> None:
    count = int(scale * TEMPLATES)
    threads = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
    print(
        f"{count:,} templates of {SIZE} numbers, {threads[0]} BLAS threads, load "
        f"{os.getloadavg()[0]:.2f}, {rounds} rounds"
    )
    with tempfile.TemporaryDirectory(prefix="gallery-") as name:
        path = (folder or Path(name)) / "bench.gallery"
        if not path.exists():
            fill(path, count)
        for precision in ("float32", "float16"):
            measure(path, count, precision, rounds)


def fill(path: Path, count: int) -> None:
    began = time.perf_counter()
    generator = np.random.default_rng(SEED)

    def people():
        for start in range(0, count, 1 << 14):
            rows = generator.standard_normal((min(1 << 14, count - start), SIZE), np.float32)
            for number, row in enumerate(rows, start):
                digest = hashlib.sha256(str(number).encode()).hexdigest()
                yield f"person {number:07d}", [Template(row, f"{number}.jpg", digest)]

    with SqliteGallery(path, MAKER) as gallery:
        gallery.enrol_many(people())
    print(
        f"enrolled in one transaction: {time.perf_counter() - began:.1f} s, "
        f"{path.stat().st_size / 1e6:,.0f} MB"
    )


def measure(path: Path, count: int, precision: Precision, rounds: int) -> None:
    queries = np.random.default_rng(SEED + 1).standard_normal((TOGETHER, SIZE))
    with SqliteGallery(path, MAKER, precision=precision) as gallery:
        began = time.perf_counter()
        gallery.search(queries[:1], TOP)
        first = time.perf_counter() - began
        block = path.with_name(f"{path.name}.{precision}")
        rows = np.memmap(block, precision, "r", 4096, (count, SIZE))
        bare = rows if precision == "float32" else np.asarray(rows, np.float32)
        check(gallery, rows, queries)
        print(f"{precision}: first search, which writes the block or reads it, {first:.1f} s")
        quick = np.ascontiguousarray(queries.T, np.float32)
        column = np.ascontiguousarray(quick[:, 0])
        scores = np.empty((count, TOGETHER), np.float32)
        one = turns(
            {
                "ours": lambda: gallery.search(queries[:1], TOP),
                "bare": lambda: np.matmul(bare, column),
            },
            rounds,
        )
        tell(f"{precision}, 1 query, top {TOP}", one, ("bare",), precision)
        many = turns(
            {
                "ours": lambda: gallery.search(queries, TOP),
                "bare": lambda: np.matmul(bare, quick, out=scores),
                "bare in blocks": lambda: product_in_blocks(bare, quick, scores),
            },
            rounds,
        )
        tell(f"{precision}, {TOGETHER} queries", many, ("bare", "bare in blocks"), precision)


def product_in_blocks(rows: np.ndarray, columns: np.ndarray, scores: np.ndarray) -> None:
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        np.matmul(part, columns, out=scores[: len(part)])


def turns(
    ways: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each way in each round: of the clock, and of the processor in all threads."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            began, spent = time.perf_counter(), time.process_time()
            way()
            seconds[name].append((time.perf_counter() - began, time.process_time() - spent))
    return seconds


def tell(
    what: str,
    seconds: dict[str, list[tuple[float, float]]],
    yardsticks: tuple[str, ...],
    precision: str,
) -> None:
    clock = {name: statistics.median(c for c, _ in times) for name, times in seconds.items()}
    spent = {name: statistics.median(p for _, p in times) for name, times in seconds.items()}
    best = min(yardsticks, key=lambda name: clock[name])
    ratio = clock["ours"] / clock[best]
    by_round = sorted(o[0] / b[0] for o, b in zip(seconds["ours"], seconds[best], strict=True))
    bar = ""
    if precision == "float32":
        bar = f" (must: {MOST_TIMES}; {'met' if ratio <= MOST_TIMES else 'missed'})"
    print(
        f"{what}: "
        + ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in clock.items())
        + f"; ours / {best} = {ratio:.2f}{bar}, by round {by_round[0]:.2f} to {by_round[-1]:.2f}; "
        f"processor time {spent['ours'] / min(spent[name] for name in yardsticks):.2f}",
        flush=True,
    )


def check(gallery: SqliteGallery, rows: np.ndarray, queries: np.ndarray) -> None:
    """The first query's top against a sort of all similarities of the block."""
    query = queries[0] / np.linalg.norm(queries[0])
    scores = np.concatenate(
        [
            np.asarray(rows[start : start + BLOCK], np.float64) @ query
            for start in range(0, len(rows), BLOCK)
        ]
    )
    order = np.argsort(-scores)[:TOP]
    (found,) = gallery.search(queries[:1], TOP)
    near = np.abs([match.similarity for match in found] - scores[order]).max()
    if near > (1e-6 if rows.dtype == np.float32 else 1e-3):
        raise SystemExit(f"the search is wrong: {found} against {order} {scores[order]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the gallery is kept for another run")
    options = parser.parse_args()
    main(options.scale, options.rounds, options.folder)
