"""MegaFace in miniature: FaceScrub-like probes, distractors, the devkit's lists, and noise lists.

As in the real set some probes carry a wrong name, and some distractors show a person of the probes;
the noise lists name them, which makes the refined protocol.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketface.synthetic.sets.blocks import people_of, plan_stream
from pocketface.synthetic.sets.circumstances import PRESS, Fixed, ages_at_one_time
from pocketface.synthetic.sets.shot import Picture, Shot

PROBE_PEOPLE = 20
PROBES_EACH = 10
DISTRACTORS = 2000
"""Sizes at scale 1."""

_WRONG_PROBES = 0.02
_WRONG_DISTRACTORS = 0.004


@dataclass(frozen=True)
class DistractorPlan:
    """Probes first, then distractors; `paths` are relative to `facescrub/` and `megaface/`."""

    shots: list[Shot]
    paths: list[str]
    probes: int
    noisy: frozenset[int]

    @property
    def counts(self) -> Mapping[str, int]:
        """The set's size."""
        noisy_probes = sum(i < self.probes for i in self.noisy)
        return {
            "probes": self.probes,
            "distractors": len(self.shots) - self.probes,
            "noisy_probes": noisy_probes,
            "noisy_distractors": len(self.noisy) - noisy_probes,
            "images": len(self.shots),
        }

    def write(self, target: Path, pictures: Sequence[Picture]) -> None:
        """Write images, `templatelists/` and the noise lists."""
        for i, (path, picture) in enumerate(zip(self.paths, pictures, strict=True)):
            file = target / ("facescrub" if i < self.probes else "megaface") / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture.file)
        probes, distractors = self.paths[: self.probes], self.paths[self.probes :]
        lists = target / "templatelists"
        lists.mkdir()
        content = {"path": probes, "id": [path.split("/")[0] for path in probes]}
        (lists / "facescrub_features_list.json").write_text(json.dumps(content, indent=4))
        for size in list_sizes(len(distractors)):
            content = {"path": distractors[:size]}
            (lists / f"megaface_features_list.json_{size}_1").write_text(json.dumps(content))
        # FaceScrub's noise is listed by file name, MegaFace's by path.
        wrong = [self.paths[i].split("/")[1] for i in sorted(self.noisy) if i < self.probes]
        _write_noises(target / "facescrub_noises.txt", wrong)
        wrong = [self.paths[i] for i in sorted(self.noisy) if i >= self.probes]
        _write_noises(target / "megaface_noises.txt", wrong)


@dataclass(frozen=True)
class DistractorRecipe:
    """20 x `scale` people with 10 probes each against 2,000 x `scale` distractors."""

    scale: float = 1.0
    name: str = "megaface"
    output: str = "MegaFace"

    @property
    def options(self) -> Mapping[str, int | float | str]:
        """The scale."""
        return {"scale": self.scale}

    def plan(self, seed: int) -> DistractorPlan:
        """Decide who is probe, distractor, and wrongly listed."""
        rng = plan_stream(seed, self.name)
        count = max(2, round(PROBE_PEOPLE * self.scale))
        probes = count * PROBES_EACH
        distractors = max(10, round(DISTRACTORS * self.scale))
        everybody = people_of(self.name, 2 * count + distractors)
        probe_people, strangers, crowd = (
            everybody[:count],
            everybody[count : 2 * count],
            everybody[2 * count :],
        )
        # At most one wrong probe a person, so that enough right ones remain.
        wrong = min(count, max(1, round(_WRONG_PROBES * probes)))
        wrong_at = {
            int(person) * PROBES_EACH + int(rng.integers(PROBES_EACH))
            for person in rng.choice(count, wrong, replace=False)
        }
        shots = []
        for i in range(probes):
            person, image = divmod(i, PROBES_EACH)
            shown = strangers[person] if i in wrong_at else probe_people[person]
            shots.append(Shot(shown, image, PRESS, _age(rng)))
        wrong = max(1, round(_WRONG_DISTRACTORS * distractors))
        known = {
            probes + int(i): probe_people[int(rng.integers(count))]
            for i in rng.choice(distractors, wrong, replace=False)
        }
        for i in range(probes, probes + distractors):
            # A probe person's own pictures have the numbers below PROBES_EACH.
            person, image = (known[i], i) if i in known else (crowd[i - probes], 0)
            shots.append(Shot(person, image, PRESS, _age(rng)))
        paths = _probe_paths(count, rng) + _distractor_paths(distractors, rng)
        return DistractorPlan(shots, paths, probes, frozenset(wrong_at | set(known)))


def list_sizes(distractors: int) -> list[int]:
    """The numbers of distractors that have a list: powers of ten, and all."""
    sizes = [10**power for power in range(1, 10) if 10**power < distractors]
    return [*sizes, distractors]


def _age(rng: np.random.Generator) -> Fixed:
    return ages_at_one_time(rng)[0]


def _probe_paths(people: int, rng: np.random.Generator) -> list[str]:
    paths = []
    for person in range(people):
        name = f"Probe_{person:03d}"
        numbers = np.sort(rng.choice(90_000, PROBES_EACH, replace=False)) + 100
        paths += [f"{name}/{name}_{number}.jpg" for number in numbers.tolist()]
    return paths


def _distractor_paths(count: int, rng: np.random.Generator) -> list[str]:
    """`<a>/<b>/<photo>_<face>.jpg`: b an owner of one to four photographs, a its first digits."""
    owners = rng.choice(90_000_000, count, replace=False) + 10_000_000
    paths: list[str] = []
    for owner in owners.tolist():
        for photo in (rng.choice(10**9, int(rng.integers(1, 5)), replace=False) + 10**6).tolist():
            face = int(rng.integers(0, 8))
            paths.append(f"{str(owner)[:3]}/{owner}@N0{owner % 9}/{photo}_{face}.jpg")
        if len(paths) >= count:
            break
    return paths[:count]


def _write_noises(path: Path, names: Sequence[str]) -> None:
    lines = ["#Pictures that are wrong on purpose in this synthetic set.", *names]
    path.write_text("\n".join(lines) + "\n")
