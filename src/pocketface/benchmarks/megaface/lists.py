"""The devkit's lists: probes, distractors, and the noise lists of the refined protocol.

`facescrub_features_list.json` is `{"path": [...], "id": [...]}`; a list of distractors is
`{"path": [...]}` in `megaface_features_list.json_<distractors>_<set>`, where the sets are random
choices that need not hold one another. A noise list is text, one name a line, `#` for comments:
file names of probes, paths of distractors.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.errors import DataError

PROBE_LIST = "facescrub_features_list.json"
_DISTRACTOR_LIST = re.compile(r"megaface_features_list\.json_(\d+)_(\d+)")


@dataclass(frozen=True)
class ProbeList:
    """Probe images and who is said to be on them.

    Attributes:
        paths: `<person>/<image>`, all different.
        people: names of the people in alphabetical order: then what is drawn by their numbers
            does not depend on the order of the images.
        person: int64 (P,), each image's index into `people`.
    """

    paths: tuple[str, ...]
    people: tuple[str, ...]
    person: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, rows: npt.NDArray[np.int64]) -> "ProbeList":
        """The probes in these rows, their people numbered anew.

        Raises DataError if nobody is left with two images.
        """
        return _probe_list(
            [self.paths[row] for row in rows],
            [self.people[number] for number in self.person[rows]],
            "what is left of the list of probes",
        )


@dataclass(frozen=True)
class DistractorLists:
    """Distractor images, and the lists of growing size that choose among them.

    Attributes:
        paths: every image that a list names, once; those of the largest list first.
        chosen: by a list's size, int64 (size,): indices into `paths`, in the list's order.
    """

    paths: tuple[str, ...]
    chosen: dict[int, npt.NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def largest(self) -> int:
        """The size of the largest list."""
        return max(self.chosen)


def read_probe_list(path: Path) -> ProbeList:
    """Read the list of probes.

    Raises DataError for a file that is no such list, names an image twice or outside its folder,
    or leaves nobody with two images.
    """
    content = _read_json(path, ("path", "id"))
    paths, names = content["path"], content["id"]
    if len(paths) != len(names):
        raise DataError(
            f"{path}: {len(paths):,} paths, but {len(names):,} ids; there must be one id for each "
            "path. Take the file again from the devkit."
        )
    _check_paths(path, paths)
    return _probe_list(paths, names, str(path))


def read_distractor_list(path: Path) -> tuple[str, ...]:
    """Read one list of distractors.

    Raises DataError for a file that is no such list, names an image twice or outside its folder,
    or holds another number of images than its name says.
    """
    paths = _read_json(path, ("path",))["path"]
    _check_paths(path, paths)
    named = _DISTRACTOR_LIST.fullmatch(path.name)
    if named and int(named[1]) != len(paths):
        raise DataError(
            f"{path}: the name says {int(named[1]):,} distractors, the file has {len(paths):,}. "
            "It is cut short or changed; take it again from the devkit."
        )
    return tuple(paths)


def find_distractor_lists(folder: Path, number: int = 1) -> dict[int, Path]:
    """The lists of the random set `number` in `folder`, by size.

    Raises DataError if there are none.
    """
    found = {}
    sets = set()
    for path in folder.iterdir():
        named = _DISTRACTOR_LIST.fullmatch(path.name)
        if named:
            sets.add(int(named[2]))
            if int(named[2]) == number:
                found[int(named[1])] = path
    if not found:
        others = f"; it has the sets {', '.join(map(str, sorted(sets)))}" if sets else ""
        raise DataError(
            f"{folder} has no megaface_features_list.json_<distractors>_{number}{others}. "
            "Give the devkit's folder templatelists, or another set."
        )
    return dict(sorted(found.items()))


def join_distractor_lists(lists: dict[int, tuple[str, ...]]) -> DistractorLists:
    """Number the images of several lists; `lists` is keyed by size."""
    index: dict[str, int] = {}
    chosen = {}
    for size in sorted(lists, reverse=True):
        for path in lists[size]:
            index.setdefault(path, len(index))
        chosen[size] = np.array([index[path] for path in lists[size]], np.int64)
    return DistractorLists(tuple(index), dict(sorted(chosen.items())))


def select_distractors(lists: DistractorLists, kept: npt.NDArray[np.bool_]) -> DistractorLists:
    """The lists without the images that are not `kept`, bool (M,); sizes keep their names."""
    number = np.cumsum(kept) - 1
    return DistractorLists(
        tuple(path for path, stays in zip(lists.paths, kept.tolist(), strict=True) if stays),
        {size: number[rows[kept[rows]]] for size, rows in lists.chosen.items()},
    )


def by_membership(
    chosen: Mapping[int, npt.NDArray[np.int64]], distractors: int
) -> list[tuple[list[int], npt.NDArray[np.int64]]]:
    """The chosen distractors, each once: in which lists they are, and which they are, int64.

    `chosen` is as in `DistractorLists`, `distractors` how many images there are. The lists of
    MegaFace are random choices that overlap, the small ones lying almost wholly in the largest:
    what is in several lists need be compared only once.
    """
    sizes = sorted(chosen)
    kind = np.zeros(distractors, np.int64)
    for bit, size in enumerate(sizes):
        kind[chosen[size]] |= 1 << bit
    return [
        (
            [size for bit, size in enumerate(sizes) if value >> bit & 1],
            np.flatnonzero(kind == value),
        )
        for value in np.unique(kind[kind > 0]).tolist()
    ]


def read_noises(path: Path) -> frozenset[str]:
    """Read a noise list: file names of probes, or paths of distractors.

    A name may come twice: the published list of distractors has such a one, and it changes nothing.
    Raises DataError if it cannot be read as text.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as a noise list: {error}. It is text with one image a line."
        ) from error
    return frozenset(line for line in lines if line and not line.startswith("#"))


def write_probe_list(path: Path, paths: Sequence[str], people: Sequence[str]) -> None:
    """Write a list of probes, `people` being each image's person."""
    atomic.write_text(path, json.dumps({"path": list(paths), "id": list(people)}, indent=4))


def write_distractor_list(folder: Path, paths: Sequence[str], number: int = 1) -> Path:
    """Write a list of distractors into `folder` under the devkit's name for its size."""
    target = folder / f"megaface_features_list.json_{len(paths)}_{number}"
    atomic.write_text(target, json.dumps({"path": list(paths)}))
    return target


def identity_of(paths: Sequence[str]) -> str:
    """The sha256 of names in their order, hexadecimal: which images, in which rows."""
    return hashlib.sha256("\n".join(paths).encode()).hexdigest()


def _probe_list(paths: Sequence[str], names: Sequence[str], source: str) -> ProbeList:
    people = tuple(sorted(set(names)))
    index = {name: number for number, name in enumerate(people)}
    person = np.array([index[name] for name in names], np.int64)
    if not len(person) or np.bincount(person).max() < 2:
        raise DataError(
            f"{source}: nobody has two images, so there is no pair of one person to look for. "
            "Is 'id' the person and not the image?"
        )
    return ProbeList(tuple(paths), people, person)


def _read_json(path: Path, keys: tuple[str, ...]) -> dict[str, list[str]]:
    mend = "Take the file again from the devkit."
    try:
        content: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {mend}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}. {mend}") from error
    for key in keys:
        column = content.get(key) if isinstance(content, dict) else None
        if not isinstance(column, list) or not all(isinstance(value, str) for value in column):
            raise DataError(f"{path} has no list of texts under '{key}'. {mend}")
        if not column:
            raise DataError(f"{path}: the list '{key}' is empty. {mend}")
    return {key: content[key] for key in keys}


def _check_paths(path: Path, names: Sequence[str]) -> None:
    """Refuse names that leave their folder, and names that come twice."""
    for row, name in enumerate(names):
        parts = PurePosixPath(name).parts
        # A null byte ends a file name in the system's eyes; "a/./b" would be a second name of a/b.
        inside = parts and not name.startswith("/") and ".." not in parts and "\0" not in name
        if not inside or "/".join(parts) != name:
            raise DataError(
                f"{path}: entry {row}, '{name}', is no path inside the images' folder. "
                "Name images as <folder>/<image>."
            )
    if len(set(names)) == len(names):
        return
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            raise DataError(
                f"{path}: '{name}' is there twice (entries {seen[name]} and {row}); it would count "
                "twice in every figure. Remove one of them."
            )
        seen[name] = row
