"""Which probes and distractors are noise, by the noise lists or by the features themselves."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.megaface.lists import DistractorLists, ProbeList, read_noises
from pocketface.errors import DataError

Bools = npt.NDArray[np.bool_]

PROBE_FILE = "facescrub_noises.txt"
DISTRACTOR_FILE = "megaface_noises.txt"


@dataclass(frozen=True)
class NoiseLists:
    """File names of noisy probes, whichever folder they are in, and paths of noisy distractors."""

    probes: frozenset[str]
    distractors: frozenset[str]

    @classmethod
    def load(cls, folder: Path) -> "NoiseLists | None":
        """Read both lists in `folder`; None if there is neither.

        Raises DataError if there is only one of them, or one is broken.
        """
        files = (folder / PROBE_FILE, folder / DISTRACTOR_FILE)
        there = [file.is_file() for file in files]
        if not any(there):
            return None
        if not all(there):
            raise DataError(
                f"{files[there.index(False)]} is missing, {files[there.index(True)]} is there: "
                "the refined protocol needs both. Add it, or move the other one away."
            )
        return cls(read_noises(files[0]), read_noises(files[1]))

    def find(self, probes: ProbeList, distractors: DistractorLists) -> tuple[Bools, Bools]:
        """Which of the images are named, bool (P,) and (M,)."""
        names = (PurePosixPath(path).name for path in probes.paths)
        return (
            np.array([name in self.probes for name in names], np.bool_),
            np.array([path in self.distractors for path in distractors.paths], np.bool_),
        )

    def warnings(self, found: tuple[Bools, Bools]) -> tuple[str, ...]:
        """A sentence for each list of which no name was found."""
        kinds = (
            ("probes", PROBE_FILE, "file name", self.probes, found[0]),
            ("distractors", DISTRACTOR_FILE, "path", self.distractors, found[1]),
        )
        return tuple(
            f"Warning: none of the {len(listed):,} names in {file} is that of one of the {kind}; "
            f"it must name them by {by}."
            for kind, file, by, listed, noisy in kinds
            if listed and not noisy.any()
        )
