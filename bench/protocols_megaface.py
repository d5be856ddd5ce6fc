"""MegaFace at its true size on random features, against the bare matrix product.

3,530 probes of 80 people and the 1,000,000 distractors of the largest list, 128-D, on disk as
float32 and as float16; the five smaller lists are random choices of the same pool, as the devkit's
are. Ours is the whole measurement: ranks 1 to 10 against all six lists and verification. The
yardstick is the matrix product of all probes and 1,000,000 distractors in blocks, each of which is
thrown away; the features of a float16 file are converted on the way. The usual way
is there as well: argsort of each probe's similarities, TAR from all of them sorted (on a part of
the distractors, scaled up).

Each variant runs in a process of its own, with the same number of threads of the matrix product
and held to as many cores, since ours works on two blocks at a time. Memory is the peak of
resident memory above what the process holds once the libraries are loaded and every page of the
mapped file is in memory, so that those pages are not counted. Both protocols with confidence
intervals are timed apart.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PEOPLE, PROBES, DISTRACTORS, POOL, SIZE = 80, 3_530, 1_000_000, 1_027_060, 128
NOISY_PROBES, NOISY_DISTRACTORS = 24, 707
BLOCK = 4096
REPLICATES = 1000
SEED = 0
MOST_TIMES, MOST_MB = 1.5, 500


def main(scale: float = 1.0, threads: int = 1) -> None:
    """Measure and print. `scale` shrinks the distractors; the probes stay."""
    with tempfile.TemporaryDirectory(prefix="protocols-megaface-") as name:
        folder = Path(name)
        draw(folder, scale)
        print(
            f"MegaFace, {PROBES:,} probes of {PEOPLE} people against {int(scale * DISTRACTORS):,} "
            f"distractors, {SIZE}-D, {threads} thread(s)"
        )
        usual = run_child(folder, "usual", "float32", threads)
        print(f"the usual way: {usual['seconds']:.0f} s (scaled up from {usual['part']:.0%})")
        for kind in ("float32", "float16"):
            print_measured(folder, kind, threads)


def draw(folder: Path, scale: float) -> None:
    """People around centres, wide enough apart for rank 1 to fall; distractors anywhere."""
    generator = np.random.default_rng(SEED)
    person = np.sort(np.append(np.arange(PEOPLE), generator.integers(PEOPLE, size=PROBES - PEOPLE)))
    centres = generator.standard_normal((PEOPLE, SIZE))
    probes = centres[person] + generator.standard_normal((PROBES, SIZE))
    np.save(folder / "person.npy", person)
    np.save(folder / "probes.npy", probes.astype(np.float32))
    pool, largest = int(scale * POOL), int(scale * DISTRACTORS)
    for kind in ("float32", "float16"):
        with (folder / f"{kind}.raw").open("wb") as handle:
            again = np.random.default_rng(SEED + 1)
            for start in range(0, pool, 1 << 14):
                rows = again.standard_normal((min(1 << 14, pool - start), SIZE), np.float32)
                handle.write(rows.astype(kind).tobytes())
    # As the package numbers them: what the largest list names comes first, in its order.
    np.save(folder / f"list_{largest}.npy", np.arange(largest))
    for power in range(1, 6):
        if 10**power < largest:
            chosen = generator.permutation(pool)[: 10**power]
            np.save(folder / f"list_{10**power}.npy", chosen)


def print_measured(folder: Path, kind: str, threads: int) -> None:
    """Three of each, by turns: the machine may be busy with other things at any one time."""
    products, ours = [], []
    for _ in range(3):
        products.append(run_child(folder, "product", kind, threads))
        ours.append(run_child(folder, "ours", kind, threads))
    spread = ", ".join(
        f"{o['seconds'] / p['seconds']:.2f}" for p, o in zip(products, ours, strict=True)
    )
    product = min(found["seconds"] for found in products)
    best = min(ours, key=lambda found: found["seconds"])
    memory = max(found["memory"] for found in ours)
    print(
        f"{kind}: bare product {product:.2f} s; identification and verification "
        f"{best['seconds']:.2f} s: {best['seconds'] / product:.2f} times (must: {MOST_TIMES}; "
        f"run by run {spread})"
    )
    used = [min(found["processor"] for found in part) for part in (products, ours)]
    print(
        f"  processor time of all threads: {used[0]:.2f} s and {used[1]:.2f} s, "
        f"{used[1] / used[0]:.2f} times"
    )
    print(
        f"  {memory:.0f} MB beyond the features (must: {MOST_MB}), mapped pages of the features "
        f"apart: {best['mapped']:,.0f} MB; rank 1 {best['rank 1']:.4f}, "
        f"TAR at FAR 1e-6 {best['tar']:.4f}"
    )
    intervals = run_child(folder, "intervals", kind, threads)
    print(
        f"  raw and refined, {REPLICATES:,} bootstrap replicates: {intervals['seconds']:.2f} s, "
        f"{intervals['memory']:.0f} MB",
        flush=True,
    )


def run_child(folder: Path, variant: str, kind: str, threads: int) -> dict:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    answer = subprocess.run(
        [sys.executable, __file__, "--child", variant, kind, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(names, str(threads))},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return json.loads(answer.stdout.splitlines()[-1])


def child(variant: str, kind: str, folder: Path) -> None:
    """One variant in this process; prints a line of JSON."""
    probes = np.load(folder / "probes.npy")
    features = np.memmap(folder / f"{kind}.raw", kind, mode="r").reshape(-1, SIZE)
    lists = {
        int(path.stem.split("_")[1]): np.load(path) for path in sorted(folder.glob("list_*.npy"))
    }
    # Every page in memory: nobody waits for the disk.
    for start in range(0, len(features), BLOCK):
        features[start : start + BLOCK].max()
    if variant == "product":
        found = _product(probes, features[: max(lists)])
    elif variant == "usual":
        found = _usual(probes, features[: max(lists)])
    else:
        replicates = REPLICATES if variant == "intervals" else 0
        found = _ours(probes, np.load(folder / "person.npy"), features, lists, replicates)
    print(json.dumps(found))


def _product(probes: np.ndarray, features: np.ndarray) -> dict:
    columns = np.ascontiguousarray(probes.T)
    scores = np.empty((BLOCK, len(probes)), np.float32)
    began, spent = time.perf_counter(), time.process_time()
    for start in range(0, len(features), BLOCK):
        block = np.asarray(features[start : start + BLOCK], np.float32)
        np.matmul(block, columns, out=scores[: len(block)])
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - spent,
    }


def _usual(probes: np.ndarray, features: np.ndarray) -> dict:
    """Every similarity sorted, a hundredth of the distractors at a time."""
    part = features[: max(1, len(features) // 100)]
    began = time.perf_counter()
    units = probes / np.linalg.norm(probes, axis=1, keepdims=True)
    others = part / np.linalg.norm(part, axis=1, keepdims=True)
    scores = units @ others.T
    np.argsort(-scores, axis=1)
    np.sort(scores, axis=None)
    seconds = time.perf_counter() - began
    return {"seconds": seconds * len(features) / len(part), "part": len(part) / len(features)}


def _ours(
    probes: np.ndarray,
    person: np.ndarray,
    features: np.ndarray,
    lists: dict[int, np.ndarray],
    replicates: int,
) -> dict:
    from pocketface.benchmarks.megaface.measure import Comparison, measure

    noisy = np.arange(len(probes)) % (len(probes) // NOISY_PROBES) == 0
    wrong = np.arange(len(features)) % (len(features) // NOISY_DISTRACTORS) == 0
    protocols = ("raw", "refined") if replicates else ("raw",)
    comparison = Comparison(probes, person, features, lists, protocols, noisy, wrong)
    # The kernel's high-water mark begins anew, with all pages of the features in it already.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    began, spent = time.perf_counter(), time.process_time()
    figures, *_ = measure(comparison, replicates=replicates, generator=np.random.default_rng(SEED))
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - spent,
        "memory": (_status("VmHWM") - before) / 1e6,
        "mapped": _status("RssFile") / 1e6,
        "rank 1": float(figures.cmc[max(lists)][0, 0]),
        "tar": float(figures.points[0].tar[0]),
    }


def _status(field: str) -> int:
    """A field of this process's memory in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise SystemExit("this bench needs /proc, as Linux has it")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], options.child[1], Path(options.child[2]))
    else:
        main(options.scale, options.threads)
