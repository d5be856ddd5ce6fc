"""Who is on a photograph, of 20 people? Half of them enrolled, half strangers, then exchanged.

Faces are found, aligned and embedded as `pocketface enroll` does. Of each person of one half the
first photograph, by name, is enrolled; their others must be identified, and all photographs of the
other half must be unknown. Then the halves are exchanged, and both counts are added up. The
thresholds are those of LFW's pairs for FAR 1e-2 and 1e-3: nothing is fitted to the photographs. If
the weights have no card with them yet, `pocketface evaluate` measures them first.

Intervals, 95 %: exact ones of a rate (Clopper and Pearson), as if photographs were independent, and
a bootstrap that draws people. Beside them stands what many random halves and enrolled
photographs give, since which picture is enrolled matters with so few.

    python experiments/photos_identified.py --data ../shared/data --out runs/photos_identified
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pocketface.atomic import write_text
from pocketface.benchmarks.bootstrap import interval
from pocketface.benchmarks.margins import rate_interval
from pocketface.benchmarks.thresholds import choose_threshold
from pocketface.card import card_path
from pocketface.detect.detector_file import find_detector
from pocketface.detect.recognise import Recogniser
from pocketface.detect.yunet import YuNet
from pocketface.embedding import load_embedder
from pocketface.gallery import Maker, SqliteGallery, Template
from pocketface.gallery.enrol_photos import Photo, photos_below
from pocketface.gallery.open_set import false_positive_rate, identify

WEIGHTS = "mobilefacenet_foamliu.onnx"
DETECTOR = "yunet_n_dynamic.onnx"
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
FARS = (1e-2, 1e-3)
DRAWS = 200
REPLICATES = 2000


class Probe(NamedTuple):
    """What became of one photograph that was asked about."""

    person: str
    enrolled: bool
    named: str | None


def main() -> None:
    """Measure, print, and write `identified.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/photos_identified"))
    parser.add_argument("--seed", type=int, default=0, help="Of draws and replicates.")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = measured_weights(args.data, args.out, args.threads)
    embedder = load_embedder(weights, threads=args.threads)
    assert embedder.card is not None
    detector = find_detector(args.data / "weights" / DETECTOR)
    recogniser = Recogniser(embedder, lambda: YuNet(detector), flip=True)
    photos, _ = photos_below(args.data / "photos")
    seen = [recogniser.read(photo.path) for photo in photos]
    several = sum(len(each.faces) > 1 for each in seen)
    vectors = recogniser.embed([each.one_face(largest=True) for each in seen])
    hashes = [each.sha256 for each in seen]
    people = sorted({photo.person for photo in photos})
    print(
        f"{len(photos)} photographs of {len(people)} people; a face found in "
        f"{sum(bool(each.faces) for each in seen)}; several in {several}: the largest is taken"
    )
    maker = Maker.of(embedder, weights.name, flip=True)
    halves = [people[0::2], people[1::2]]
    findings = []
    for far in FARS:
        threshold = choose_threshold(embedder.card, far)
        assert threshold is not None
        assert threshold.flip
        probes = both_ways(photos, vectors, hashes, halves, maker, threshold.similarity, args.out)
        generator = np.random.default_rng(args.seed)
        finding = {
            "far": far,
            "measured_far": threshold.measured_far,
            "benchmark": threshold.benchmark,
            "threshold": threshold.similarity,
            **told(probes, generator),
            "expected_false": false_positive_rate(threshold.measured_far, len(people) // 2),
            "drawn": drawn(photos, vectors, people, threshold.similarity, generator),
        }
        findings.append(finding)
        tell(finding)
    write_text(args.out / "identified.json", json.dumps(findings, indent=1) + "\n")


def measured_weights(data: Path, out: Path, threads: int) -> Path:
    """A copy of the weights with a card that knows LFW's thresholds."""
    weights = out / WEIGHTS
    if not weights.exists():
        shutil.copyfile(data / "weights" / WEIGHTS, weights)
    if not card_path(weights).exists():
        command = [sys.executable, "-m", "pocketface", "evaluate", str(weights)]
        command += [str(data / "lfw_pairs.txt"), "--images", str(data / "lfw112"), "--write-card"]
        command += [*IMAGENET, "--threads", str(threads), "--out", str(out / "lfw")]
        subprocess.run(command, check=True)
    return weights


def both_ways(
    photos: Sequence[Photo],
    vectors: np.ndarray,
    hashes: Sequence[str],
    halves: Sequence[Sequence[str]],
    maker: Maker,
    threshold: float,
    out: Path,
) -> list[Probe]:
    """The two halves enrolled in turn, in a gallery as a user would have it."""
    probes = []
    for half in halves:
        path = out / "half.gallery"
        for old in out.glob("half.gallery*"):
            old.unlink()
        first: dict[str, int] = {}
        for i, photo in enumerate(photos):
            first.setdefault(photo.person, i)
        enrolled = {first[person] for person in half}
        with SqliteGallery(path, maker) as gallery:
            for i in sorted(enrolled):
                template = Template(vectors[i], photos[i].shown, hashes[i])
                gallery.enrol(photos[i].person, [template])
            asked = [i for i in range(len(photos)) if i not in enrolled]
            answers = identify(gallery, vectors[asked], threshold)
        probes += [
            Probe(photos[i].person, photos[i].person in half, answer.person)
            for i, answer in zip(asked, answers, strict=True)
        ]
    return probes


def told(probes: Sequence[Probe], generator: np.random.Generator) -> dict[str, object]:
    """Rates with both intervals."""
    mated = [probe for probe in probes if probe.enrolled]
    strangers = [probe for probe in probes if not probe.enrolled]
    return {
        "identified": rate([(p.person, p.named == p.person) for p in mated], generator),
        "named_wrong": rate(
            [(p.person, p.named not in (None, p.person)) for p in mated], generator
        ),
        "false": rate([(p.person, p.named is not None) for p in strangers], generator),
    }


def rate(outcomes: Sequence[tuple[str, bool]], generator: np.random.Generator) -> dict[str, object]:
    """How often it happened; `outcomes` say of whom a photograph is, and whether it did."""
    happened = np.array([did for _, did in outcomes], np.float64)
    people, person = np.unique([who for who, _ in outcomes], return_inverse=True)
    count = int(happened.sum())
    values = np.empty(REPLICATES)
    for replicate in range(REPLICATES):
        draws = np.bincount(
            generator.integers(len(people), size=len(people)), minlength=len(people)
        )
        weight = draws[person]
        values[replicate] = (weight * happened).sum() / weight.sum()
    return {
        "count": count,
        "of": len(outcomes),
        "people": len(people),
        "rate": count / len(outcomes),
        "exact": rate_interval(count, len(outcomes)),
        "by_people": interval(values),
    }


def drawn(
    photos: Sequence[Photo],
    vectors: np.ndarray,
    people: Sequence[str],
    threshold: float,
    generator: np.random.Generator,
) -> dict[str, float]:
    """Means and standard deviations over random halves and random enrolled photographs."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    person = np.array([people.index(photo.person) for photo in photos])
    rates = np.empty((DRAWS, 2))
    for draw in range(DRAWS):
        half = set(generator.permutation(len(people))[: len(people) // 2].tolist())
        mine = {
            who: int(generator.choice(np.flatnonzero(person == who))) for who in range(len(people))
        }
        counts = np.zeros((2, 2))
        for names in (half, set(range(len(people))) - half):
            rows = [mine[who] for who in sorted(names)]
            scores = unit @ unit[rows].T
            best, top = scores.max(axis=1), person[np.array(rows)][scores.argmax(axis=1)]
            asked = np.setdiff1d(np.arange(len(photos)), rows)
            mated = np.isin(person[asked], list(names))
            passed = best[asked] >= threshold
            counts[0] += [(passed & mated & (top[asked] == person[asked])).sum(), mated.sum()]
            counts[1] += [(passed & ~mated).sum(), (~mated).sum()]
        rates[draw] = counts[:, 0] / counts[:, 1]
    mean, spread = rates.mean(axis=0), rates.std(axis=0, ddof=1)
    return {
        "draws": DRAWS,
        "identified": float(mean[0]),
        "identified_deviation": float(spread[0]),
        "false": float(mean[1]),
        "false_deviation": float(spread[1]),
    }


def tell(finding: dict) -> None:
    """The finding in words."""
    print(
        f"\nthreshold {finding['threshold']:.4f}, FAR {finding['far']:g} on {finding['benchmark']} "
        f"(measured {finding['measured_far']:.3g})"
    )
    for key, words in (
        ("identified", "identified, of those enrolled"),
        ("named_wrong", "named as another, of those enrolled"),
        ("false", "strangers named as somebody"),
    ):
        found = finding[key]
        exact, people = found["exact"], found["by_people"]
        print(
            f"  {words}: {found['count']} of {found['of']} = {found['rate']:.1%} "
            f"(exact {exact[0]:.1%} to {exact[1]:.1%}; drawing {found['people']} people "
            f"{people[0]:.1%} to {people[1]:.1%})"
        )
    print(f"  expected of strangers, 1 - (1 - FAR)^10: {finding['expected_false']:.1%}")
    many = finding["drawn"]
    print(
        f"  {many['draws']} random halves and photographs: identified {many['identified']:.1%} "
        f"(deviation {many['identified_deviation']:.1%}), strangers named {many['false']:.1%} "
        f"({many['false_deviation']:.1%})"
    )


if __name__ == "__main__":
    main()
