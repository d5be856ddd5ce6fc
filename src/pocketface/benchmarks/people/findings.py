"""What looking the people over found, in words and with names, as the report holds it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pocketface.benchmarks.people.near_copies import NearCopy
from pocketface.benchmarks.people.orientation import Turned
from pocketface.benchmarks.people.two_names import Suspicion
from pocketface.benchmarks.people.usable import Usable
from pocketface.benchmarks.result import Record

Check = Literal[
    "unreadable",
    "copies",
    "shared",
    "near copies",
    "two names",
    "turned",
    "one image",
    "grey",
]

_KEPT = 100
"""Names of each finding in `report.json`."""

_SHOWN = 5
"""Names of each finding in its sentence."""


class Finding(Record):
    """One check: how often it found something, in words, and the first names.

    `left_out` says whether what was found is not measured.
    """

    check: Check
    count: int = Field(ge=0)
    left_out: bool
    text: str
    names: tuple[str, ...]

    def sentence(self) -> str:
        """In words with the first names; one that matters begins with 'Warning:'."""
        if not self.count:
            return self.text
        shown = "; ".join(self.names[:_SHOWN])
        more = f"; and {self.count - _SHOWN:,} more" if self.count > _SHOWN else ""
        mild = self.check in ("one image", "grey")
        return f"{'' if mild else 'Warning: '}{self.text} {shown}{more}."


def findings(
    usable: Usable,
    images: Sequence[str],
    people: Sequence[str],
    copies: Sequence[NearCopy],
    suspicion: Suspicion,
    turned: Sequence[Turned],
    single: Sequence[str],
) -> tuple[Finding, ...]:
    """All checks in the order in which they are told.

    `images` and `people` are the names behind the numbers in `copies`, `turned` and `suspicion`;
    `single` names the people of one image.
    """
    limit = suspicion.limit
    return (
        _finding(
            "unreadable",
            [f"{fault.name} ({fault.reason.split('. ')[0]})" for fault in usable.faults],
            "Every image could be read.",
            "{n} could not be used; copy what is broken again, and align what is not square "
            "(pocketface align):",
            left_out=True,
        ),
        _finding(
            "copies",
            [f"{copy} = {kept}" for kept, copy in usable.copies],
            "No image of a person is there twice.",
            "{n} of one person the same, byte for byte, as another, and left out:",
            left_out=True,
        ),
        _finding(
            "shared",
            [" = ".join(names) for names in usable.shared],
            "No image lies under two names.",
            "{n} under two names or more, byte for byte, and left out of all of them:",
            left_out=True,
        ),
        _finding(
            "near copies",
            [
                f"{images[pair.left]} and {images[pair.right]} (similarity {pair.similarity:.3f})"
                for pair in copies
            ],
            "No two images are nearly the same picture.",
            "{n} of images that are nearly the same picture; keep one of each, or the figures "
            "flatter:",
        ),
        _finding(
            "two names",
            [
                f"{people[pair.left]} and {people[pair.right]} (similarity {pair.similarity:.3f})"
                for pair in suspicion.pairs
            ],
            "Too few people to tell whether one has two names."
            if limit is None
            else f"No two people are as alike as one person under two names (limit {limit:.3f}).",
            "{n} of people so alike that they may be one under two names, or hold each other's "
            f"images{'' if limit is None else f' (limit {limit:.3f})'}:",
        ),
        _finding(
            "turned",
            [
                f"{images[one.image]} ({one.words}{'' if one.confirmed else ', not confirmed'})"
                for one in turned
            ],
            "Every face seems to stand upright.",
            "{n} that may not stand upright; turn them:",
        ),
        _finding(
            "one image",
            single,
            "Everybody has two images or more.",
            "{n} with one image: they have no pair of their own, and serve as strangers only:",
        ),
        _finding("grey", usable.grey, "Every image has colour.", "{n} without colour:"),
    )


_NOUNS: dict[Check, tuple[str, str]] = {
    "shared": ("picture lies", "pictures lie"),
    "copies": ("image is", "images are"),
    "near copies": ("pair", "pairs"),
    "two names": ("pair", "pairs"),
    "one image": ("person", "people"),
}


def _finding(
    check: Check, names: Sequence[str], nothing: str, found: str, *, left_out: bool = False
) -> Finding:
    one, many = _NOUNS.get(check, ("image", "images"))
    count = len(names)
    noun = f"{count:,} {one if count == 1 else many}"
    return Finding(
        check=check,
        count=count,
        left_out=left_out,
        text=found.format(n=noun) if count else nothing,
        names=tuple(names[:_KEPT]),
    )


def single_people(people: npt.NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Who has one image, by name; `people` is int64 (n,), who is on each."""
    who, counts = np.unique(people, return_counts=True)
    return [names[person] for person in who[counts == 1].tolist()]
