"""IJB-C 1:1 at its true size on random features, against the usual plain script.

Run: python bench/protocols_ijb.py [--scale 0.1] [--sizes 128] [--layouts galleries]

Faces, templates and pairs are as many as IJB-C's. Each variant runs in a process of its own, from
arrays on the disk; memory is the peak of resident memory above what the process holds once the
libraries are loaded and the features are read. Reading the lists of text and the confidence
intervals are timed apart. Two layouts of the pairs: galleries (3,531 templates) against probes
(19,593), in the order of the files, and any template against any, in no order.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

FACES, TEMPLATES, PAIRS, GENUINE = 469_375, 23_124, 15_658_489, 19_557
GALLERY = 3_531
REPLICATES = 1000
SEED = 0


def main(
    scale: float = 1.0,
    sizes: Sequence[int] = (128, 512),
    layouts: Sequence[str] = ("galleries", "any"),
    *,
    threads: int | None = None,
) -> None:
    """Measure and print. `scale` shrinks faces, templates and (twice) pairs.

    `threads` is how many the matrix products take, in both variants; None is one for each core.
    """
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)  # the children inherit it
    print(
        f"IJB-C 1:1, {int(FACES * scale):,} faces, {int(TEMPLATES * scale):,} templates, "
        f"{int(PAIRS * scale**2):,} pairs; matrix products in {threads or os.cpu_count()} thread(s)"
    )
    with tempfile.TemporaryDirectory(prefix="protocols-ijb-") as name:
        folder = Path(name)
        for layout in layouts:
            draw_lists(folder, scale, layout)
            if layout == "galleries":
                print_reading(folder)
            for size in sizes:
                draw_features(folder, scale, size)
                print_measured(folder, layout, size)


def draw_lists(folder: Path, scale: float, layout: str) -> None:
    """Templates of 1 .. many faces, media of a few; pairs with the true number of genuine ones."""
    generator = np.random.default_rng(SEED)
    faces, templates = int(FACES * scale), int(TEMPLATES * scale)
    gallery = int(GALLERY * scale)
    template = np.sort(np.append(np.arange(templates), generator.integers(templates, size=faces)))
    template = template[np.sort(generator.permutation(len(template))[:faces])]
    template[:templates] = np.arange(templates)
    template = np.sort(template)
    media = template * 10 + generator.integers(6, size=faces)
    # Real ids have gaps.
    ids = np.sort(generator.permutation(10 * templates)[:templates]) + 1
    np.save(folder / "template.npy", ids[template])
    np.save(folder / "media.npy", media)
    np.save(folder / "detector_score.npy", generator.uniform(0.3, 1, faces))
    pairs = int(PAIRS * scale**2)
    if layout == "galleries":
        shuffled = generator.permutation(ids)
        owner = np.append(np.arange(gallery), generator.integers(gallery, size=templates - gallery))
        probes = np.arange(gallery, templates)
        genuine = np.stack([owner[probes], probes], axis=1)[: int(GENUINE * scale)]
        wanted = pairs + len(genuine)
        keys = generator.choice(gallery * len(probes), wanted, replace=False)
        impostor = np.stack([keys // len(probes), gallery + keys % len(probes)], axis=1)
        impostor = impostor[owner[impostor[:, 0]] != owner[impostor[:, 1]]]
        rows = np.concatenate([genuine, impostor[: pairs - len(genuine)]])
        label = np.arange(len(rows)) < len(genuine)
        order = np.lexsort((shuffled[rows[:, 1]], shuffled[rows[:, 0]]))
        first, second, label = shuffled[rows[order, 0]], shuffled[rows[order, 1]], label[order]
    else:
        people = generator.permutation(np.arange(templates) % gallery)
        keys = np.unique(generator.integers(templates**2, size=int(2.2 * pairs)))
        left, right = keys // templates, keys % templates
        chosen = (left < right) & (people[left] != people[right])
        left, right = left[chosen], right[chosen]
        by_person = np.argsort(people, kind="stable")
        neighbours = people[by_person[1:]] == people[by_person[:-1]]
        genuine = np.stack([by_person[1:][neighbours], by_person[:-1][neighbours]], axis=1)
        genuine = genuine[: int(GENUINE * scale)]
        order = generator.permutation(len(left))[: pairs - len(genuine)]
        first = np.append(ids[genuine[:, 0]], ids[left[order]])
        second = np.append(ids[genuine[:, 1]], ids[right[order]])
        label = np.arange(len(first)) < len(genuine)
        order = generator.permutation(len(first))
        first, second, label = first[order], second[order], label[order]
    np.save(folder / "first.npy", first)
    np.save(folder / "second.npy", second)
    np.save(folder / "label.npy", label.astype(np.int64))


def draw_features(folder: Path, scale: float, size: int) -> None:
    generator = np.random.default_rng(SEED + size)
    features = generator.standard_normal((int(FACES * scale), size), dtype=np.float32)
    np.save(folder / "features.npy", features)


def print_measured(folder: Path, layout: str, size: int) -> None:
    plain, ours = run_child(folder, "plain"), run_child(folder, "ours")
    if not np.allclose(plain["tar"], ours["tar"], atol=2e-4):
        raise SystemExit(f"the figures differ: {plain['tar']} and {ours['tar']}")
    print(
        f"{layout}, {size}-D: plain script {plain['seconds']:.1f} s "
        f"{plain['memory']:,.0f} MB; ours {ours['seconds']:.2f} s {ours['memory']:,.0f} MB "
        f"({', '.join(f'{name} {value:.2f} s' for name, value in ours['parts'].items())})"
    )
    print(
        f"  {plain['seconds'] / ours['seconds']:.1f} times faster (must: 8), "
        f"{ours['memory'] / plain['memory']:.2f} of its memory (must: 0.5); "
        f"{plain['processor'] / ours['processor']:.1f} times less processor time of all threads; "
        f"{REPLICATES:,} bootstrap replicates apart: {ours['intervals']:.1f} s",
        flush=True,
    )


def print_reading(folder: Path) -> None:
    first, second, label = (
        np.load(folder / f"{name}.npy") for name in ("first", "second", "label")
    )
    with (folder / "pairs.txt").open("w", encoding="ascii") as handle:
        for start in range(0, len(first), 1 << 20):
            part = slice(start, start + (1 << 20))
            rows = zip(
                first[part].tolist(), second[part].tolist(), label[part].tolist(), strict=True
            )
            handle.writelines(f"{one} {two} {same}\n" for one, two, same in rows)
    found = run_child(folder, "reading")
    print(
        f"reading {len(first):,} pairs of text: {found['seconds']:.1f} s, "
        f"{found['memory']:,.0f} MB; numpy.loadtxt {found['loadtxt']:.1f} s",
        flush=True,
    )


def run_child(folder: Path, variant: str) -> dict:
    answer = subprocess.run(
        [sys.executable, __file__, "--child", variant, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def child(variant: str, folder: Path) -> None:
    """One variant in this process; prints a line of JSON."""
    print(json.dumps({"plain": _plain, "ours": _ours, "reading": _reading}[variant](folder)))


def _plain(folder: Path) -> dict:
    import naive_ijb

    features = np.load(folder / "features.npy")
    before = _resident()
    lists = [
        np.load(folder / f"{name}.npy")
        for name in ("template", "media", "detector_score", "first", "second", "label")
    ]
    template, media, score, first, second, label = lists
    began, spent = time.perf_counter(), time.process_time()
    found, unique = naive_ijb.template_features(features, template, media, score)
    scores = naive_ijb.pair_scores(found, unique, first, second)
    tar = naive_ijb.tar_at_far(scores, label)
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - spent,
        "memory": (_peak() - before) / 1e6,
        "tar": tar,
    }


def _ours(folder: Path) -> dict:
    from pocketface.benchmarks.ijb.identities import identities
    from pocketface.benchmarks.ijb.intervals import tar_replicates
    from pocketface.benchmarks.ijb.scores import TemplateScores
    from pocketface.benchmarks.ijb.template_pairs import PairTable
    from pocketface.benchmarks.ijb.templates import Weighting, aggregate
    from pocketface.benchmarks.ijb.verification import nearest_points

    features = np.load(folder / "features.npy")
    # What the reader of the lists hands on: rows of templates, not ids.
    templates, template = np.unique(np.load(folder / "template.npy"), return_inverse=True)
    for name in ("first", "second"):
        rows = np.searchsorted(templates, np.load(folder / f"{name}.npy")).astype(np.int32)
        np.save(folder / f"{name}_rows.npy", rows)
        del rows
    _forget_peak()
    before = _resident()
    media, score = np.load(folder / "media.npy"), np.load(folder / "detector_score.npy")
    lists = [np.load(folder / f"{name}_rows.npy") for name in ("first", "second")]
    lists.append(np.load(folder / "label.npy").astype(np.bool_))
    parts = {}

    def timed(name: str, work: Callable):
        start = time.perf_counter()
        result = work()
        parts[name] = time.perf_counter() - start
        return result

    began, spent = time.perf_counter(), time.process_time()
    pairs = timed("index", lambda: PairTable.build(*lists, len(templates)))
    lists.clear()
    units = timed(
        "templates", lambda: aggregate(features, template, media, score, Weighting(True, True))
    )
    scores = timed("scores", lambda: TemplateScores(pairs, units))
    points = timed("TAR", lambda: nearest_points(scores))
    seconds, processor = time.perf_counter() - began, time.process_time() - spent
    memory = (_peak() - before) / 1e6
    start = time.perf_counter()
    identity = identities(pairs)
    tar_replicates(
        scores, identity, [float(far) for far in points], REPLICATES, np.random.default_rng(0)
    )
    return {
        "seconds": seconds,
        "processor": processor,
        "memory": memory,
        "tar": [point.tar for point in points.values()],
        "parts": parts,
        "intervals": time.perf_counter() - start,
    }


def _reading(folder: Path) -> dict:
    from pocketface.benchmarks.ijb.face_table import FaceTable
    from pocketface.benchmarks.ijb.meta import read_pairs

    templates = np.unique(np.load(folder / "template.npy"))
    nothing = np.empty(0)
    faces = FaceTable([], nothing, nothing, nothing, nothing, templates)
    before = _resident()
    began = time.perf_counter()
    read_pairs(folder / "pairs.txt", faces)
    seconds, memory = time.perf_counter() - began, (_peak() - before) / 1e6
    began = time.perf_counter()
    np.loadtxt(folder / "pairs.txt", np.int64)
    return {"seconds": seconds, "memory": memory, "loadtxt": time.perf_counter() - began}


def _status(field: str) -> int:
    """A field of this process's memory in bytes; the kernel's own high-water mark among them.

    `getrusage` would give the parent's peak where that was higher.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise SystemExit("this bench needs /proc, as Linux has it")


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _forget_peak() -> None:
    """Begin the high-water mark anew."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--layouts", nargs="+", default=["galleries", "any"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
    else:
        main(options.scale, options.sizes, options.layouts, threads=options.threads)
