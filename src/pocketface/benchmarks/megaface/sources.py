"""Where the features of MegaFace come from: a network and images, or another program's files."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.alignment_check import crop_fit, sample_of
from pocketface.benchmarks.megaface.feature_folder import (
    DISTRACTORS,
    PROBES,
    StoredFeatures,
    feature_path,
    find_algorithm,
    read_features,
    write_features,
)
from pocketface.benchmarks.megaface.lists import DistractorLists, ProbeList, identity_of
from pocketface.benchmarks.megaface.missing import present_only
from pocketface.benchmarks.result import MeasuredModel, measured_model
from pocketface.benchmarks.stream import Fetch, embed_to_file
from pocketface.card import sha256_of
from pocketface.data.jpeg import decode_rgb
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.errors import DataError

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Features:
    """Features of the images that are there, and whose they are.

    Attributes:
        probes, distractors: the lists without what is missing.
        probe_rows, distractor_rows: floating (P, D) and (M, D), mapped, not normalised.
        noisy: bool (P,) and (M,), if the features themselves say what is noise: then the noisy
            ones are spoilt, and there is no raw protocol.
        flip: whether embeddings were summed over image and mirror; None where nobody says.
        seconds: that the network took.
        warnings: about the images, for the report.
    """

    probes: ProbeList
    distractors: DistractorLists
    probe_rows: npt.NDArray[np.floating]
    distractor_rows: npt.NDArray[np.floating]
    noisy: tuple[Bools, Bools] | None
    model: MeasuredModel
    flip: bool | None
    seconds: float
    warnings: tuple[str, ...] = ()

    def write(self, folder: Path, algorithm: str) -> None:
        """Write them in the devkit's format into the new folder `folder`.

        Raises DataError if it is there already or cannot be written.
        """
        write_features(
            folder,
            [
                (PROBES, self.probes.paths, self.probe_rows),
                (DISTRACTORS, self.distractors.paths, self.distractor_rows),
            ],
            algorithm,
        )


def picture(folder: Path, path: str) -> npt.NDArray[np.uint8]:
    """An image, uint8 (H, W, 3) RGB. Raises DataError if it cannot be read."""
    try:
        content = (folder / path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{folder / path} cannot be read: {error.strerror}. Copy it again."
        ) from error
    return decode_rgb(content, str(folder / path))


def pictures(folder: Path, paths: Sequence[str]) -> Callable[[int], npt.NDArray[np.uint8] | None]:
    """A function that gives image i under `folder`, or None if it is not there."""
    return lambda number: (
        picture(folder, paths[number]) if (folder / paths[number]).is_file() else None
    )


def from_images(
    folder: Path,
    lists: tuple[ProbeList, DistractorLists],
    embedder: Embedder,
    progress: Progress | None,
    *,
    flip: bool,
    model: str,
    work: Path,
    missing: float,
) -> Features:
    """Embed the images under `folder`; see `MegafaceBenchmark.embed`."""
    began = time.perf_counter()
    roots = (folder / PROBES, folder / DISTRACTORS)
    probes, distractors = present_only(
        *lists,
        (
            [roots[0] / path for path in lists[0].paths],
            [roots[1] / path for path in lists[1].paths],
        ),
        missing,
    )
    total = len(probes) + len(distractors)

    def embedded(root: Path, paths: Sequence[str], before: int) -> npt.NDArray[np.floating]:
        return embed_to_file(
            work / f"{root.name}.npy",
            len(paths),
            _fetch(root, paths),
            embedder,
            flip=flip,
            plan={"set": f"MegaFace {root.name}", "names": identity_of(paths)},
            progress=_part_of(progress, before, total),
        )

    rows = (
        embedded(roots[0], probes.paths, 0),
        embedded(roots[1], distractors.paths, len(probes)),
    )
    seconds = time.perf_counter() - began
    looked_at = sample_of(len(probes)).tolist()
    unaligned = crop_fit([picture(roots[0], probes.paths[row]) for row in looked_at])
    return Features(
        probes,
        distractors,
        *rows,
        None,
        measured_model(embedder, model),
        flip,
        seconds,
        () if unaligned is None else (unaligned,),
    )


def from_folder(
    folder: Path,
    lists: tuple[ProbeList, DistractorLists],
    progress: Progress | None,
    *,
    algorithm: str | None,
    model: str,
    work: Path,
    missing: float,
) -> Features:
    """Read the features under `folder`; see `MegafaceBenchmark.read_features`."""
    roots = (folder / PROBES, folder / DISTRACTORS)
    named = algorithm or find_algorithm(roots[0], lists[0].paths)
    probes, distractors = present_only(
        *lists,
        (
            [feature_path(roots[0], path, named) for path in lists[0].paths],
            [feature_path(roots[1], path, named) for path in lists[1].paths],
        ),
        missing,
    )
    total = len(probes) + len(distractors)
    files = (work / f"{PROBES}.features", work / f"{DISTRACTORS}.features")

    def stored(part: int, paths: Sequence[str], before: int) -> StoredFeatures:
        tell = _part_of(progress, before, total)
        return read_features(roots[part], paths, named, files[part], tell)

    both = stored(0, probes.paths, 0), stored(1, distractors.paths, len(probes))
    sizes = [part.rows.shape[1] for part in both]
    if sizes[0] != sizes[1]:
        raise DataError(
            f"{folder}: features of probes have {sizes[0]} numbers, those of distractors "
            f"{sizes[1]}: they are not of one network. Write them again."
        )
    rows, noisy = (both[0].rows, both[1].rows), None
    # A last column of zeros alone changes no direction: whatever it means, it may stay.
    if all(part.says_noise() for part in both) and any(part.marks_noise() for part in both):
        rows = (both[0].rows[:, :-1], both[1].rows[:, :-1])
        noisy = (both[0].noisy(), both[1].noisy())
    described = MeasuredModel(
        name=model,
        architecture=f"features of {named}",
        embedding_size=rows[0].shape[1],
        fingerprint=identity_of([sha256_of(file) for file in files]),
    )
    return Features(probes, distractors, *rows, noisy, described, None, 0.0)


def _fetch(root: Path, paths: Sequence[str]) -> Fetch:
    return lambda number: picture(root, paths[number])


def _part_of(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of the probes or the distractors as progress of all images."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
