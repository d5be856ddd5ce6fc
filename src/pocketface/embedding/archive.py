"""The embeddings of a whole set of faces in one `.npz`, written so that a stop loses little.

Finished chunks lie in `<out>.partial/`, each written whole or not at all, beside a plan that
says which network and which images they belong to. A later call with the same plan goes on after
them; at the end they are joined, one at a time, into `<out>`, and the folder is removed.
"""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.data import Faces
from pocketface.data.fault import Fault
from pocketface.data.jpeg import decode_rgb
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.embedding.flip import embed_faces
from pocketface.errors import DataError

CHUNK = 1024
"""Images per chunk: what a stop can lose."""

_BATCH = 64


@dataclass(frozen=True)
class ArchiveSummary:
    """How many images were embedded, how many of them by an earlier call, and what was left out."""

    embedded: int
    resumed: int
    skipped: list[Fault]


def write_archive(
    out: Path,
    faces: Faces,
    embedder: Embedder,
    *,
    flip: bool,
    progress: Progress | None = None,
) -> ArchiveSummary:
    """Embed all of `faces` into the NumPy archive `out`.

    Its arrays, for n images that could be decoded: `embeddings` float32 (n, D), not normalised;
    `names` (n,) text; where people are known, `labels` int64 (n,) and `people` text; `about`, a
    JSON text with the fingerprints of the network and of the images, the preprocessing and
    whether image and mirror were summed. Read it with `numpy.load(out)`.

    `progress` is told the numbers of images done and of all. An image that cannot be decoded is
    left out and named in the summary. Raises DataError if `out.partial` belongs to other images or
    another network, or if no image can be decoded; WeightsError as `embedder.embed`.
    """
    about = {
        "format": 1,
        "model": embedder.fingerprint,
        "preprocessing": embedder.preprocessing.model_dump(mode="json"),
        "flip": flip,
        "faces": faces.fingerprint(),
    }
    partial = out.with_name(out.name + ".partial")
    _claim(partial, {**about, "images": len(faces), "chunk": CHUNK})
    chunks, resumed = [], 0
    for start in range(0, len(faces), CHUNK):
        stop = min(start + CHUNK, len(faces))
        chunk = partial / f"chunk_{start:09d}.npz"
        if chunk.is_file():
            resumed += stop - start
            if progress is not None:
                progress(stop, len(faces))
        else:
            _embed_chunk(chunk, faces, range(start, stop), embedder, progress, flip=flip)
        chunks.append(chunk)
    rows, skipped = _index(chunks, faces)
    if not len(rows):
        raise DataError(
            f"none of the {len(faces)} images can be decoded, first {skipped[0].name}: "
            f"{skipped[0].reason}"
        )
    _join(out, chunks, rows, faces, embedder.embedding_size, about)
    shutil.rmtree(partial)
    return ArchiveSummary(len(rows), resumed, skipped)


def _claim(partial: Path, plan: dict[str, Any]) -> None:
    """Begin a folder of chunks, or go on with one that has the same plan."""
    path = partial / "plan.json"
    if not path.is_file():
        atomic.write_text(path, json.dumps(plan, indent=2) + "\n")
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    differing = sorted(key for key in plan if found.get(key) != plan[key])
    if differing:
        raise DataError(
            f"{partial} holds an unfinished run of another kind: it differs in "
            f"{', '.join(differing)}. Finish that run, delete the folder, or choose another --out."
        )


def _embed_chunk(
    chunk: Path,
    faces: Faces,
    images: range,
    embedder: Embedder,
    progress: Progress | None,
    *,
    flip: bool,
) -> None:
    parts = [np.empty((0, embedder.embedding_size), np.float32)]
    rows: list[int] = []
    skipped: list[int] = []
    reasons: list[str] = []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        decoded = []
        for image in batch:
            try:
                decoded.append(decode_rgb(faces.encoded(image), faces.name(image)))
                rows.append(image)
            except DataError as error:
                skipped.append(image)
                reasons.append(str(error))
        parts.append(embed_faces(embedder, decoded, flip=flip))
        if progress is not None:
            progress(batch[-1] + 1, len(faces))
    with atomic.atomic_path(chunk) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            embeddings=np.concatenate(parts),
            rows=np.array(rows, np.int64),
            skipped=np.array(skipped, np.int64),
            reasons=np.array(reasons, np.str_),
        )


def _index(chunks: list[Path], faces: Faces) -> tuple[npt.NDArray[np.int64], list[Fault]]:
    """The images that were embedded, int64 (n,), and those that were not."""
    rows, skipped = [], []
    for chunk in chunks:
        with np.load(chunk) as content:
            rows.append(content["rows"])
            skipped += [
                Fault(faces.name(int(image)), str(reason))
                for image, reason in zip(content["skipped"], content["reasons"], strict=True)
            ]
    return np.concatenate(rows), skipped


def _join(
    out: Path,
    chunks: list[Path],
    rows: npt.NDArray[np.int64],
    faces: Faces,
    embedding_size: int,
    about: dict[str, Any],
) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {
        "names": np.array([faces.name(int(row)) for row in rows], np.str_),
        "about": np.array(json.dumps(about), np.str_),
    }
    if len(faces.people):
        arrays["labels"] = faces.labels[rows]
        arrays["people"] = np.array(list(faces.people), np.str_)
    with atomic.atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        with archive.open("embeddings.npy", "w", force_zip64=True) as member:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
                "fortran_order": False,
                "shape": (len(rows), embedding_size),
            }
            np.lib.format.write_array_header_1_0(member, header)
            for chunk in chunks:
                with np.load(chunk) as content:
                    member.write(content["embeddings"].tobytes())
