"""Images or features that a list names and nobody has: counted, and not too many of them.

A missing distractor makes every figure better, a missing probe takes its pairs away; both in
silence, if nobody counts. A person with one image left has no pair.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pocketface.benchmarks.megaface.lists import DistractorLists, ProbeList, select_distractors
from pocketface.errors import DataError

LIMIT = 0.001
"""Share of the probes, and of the distractors, that may be missing (our choice)."""


def present_only(
    probes: ProbeList,
    distractors: DistractorLists,
    files: tuple[Sequence[Path], Sequence[Path]],
    limit: float,
) -> tuple[ProbeList, DistractorLists]:
    """The lists without what has no file; `files` are those of the probes and distractors.

    Raises DataError if more than the share `limit` of either is missing, naming some.
    """
    there = [np.array([file.is_file() for file in part], np.bool_) for part in files]
    for kind, part, found in zip(("probes", "distractors"), files, there, strict=True):
        absent = np.flatnonzero(~found)
        if len(absent) > limit * len(found):
            named = ", ".join(str(part[row]) for row in absent[:3])
            raise DataError(
                f"{len(absent):,} of {len(found):,} {kind} are missing, first {named}. "
                f"At most {limit:g} of them may be ({int(limit * len(found)):,}); each "
                "one flatters or spoils the figures. Add them, or allow more with --missing-limit."
            )
        if len(absent) == len(found):
            raise DataError(
                f"all {len(found):,} {kind} are missing, first {part[0]}. Add them, or give the "
                "folder in which they are."
            )
    kept = probes if there[0].all() else probes.select(np.flatnonzero(there[0]))
    return kept, distractors if there[1].all() else select_distractors(distractors, there[1])
