"""A gallery as a NumPy archive, laid out as `pocketface embed` lays out its own."""

import json
from pathlib import Path

import numpy as np

from pocketface import atomic
from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Gallery


def export_archive(gallery: Gallery, out: Path) -> int:
    """Write all templates to `out`, a `.npz`; gives how many.

    Its arrays, for n templates: `embeddings` float32 (n, D) of unit length; `names` (n,), the
    photographs; `labels` int64 (n,) and `people` text; `about`, a JSON text with the network's
    fingerprint, the preprocessing and whether image and mirror were summed. No picture is in it.
    Raises GalleryError for an empty gallery, and where the file cannot be written.
    """
    entries = list(gallery.export())
    if not entries:
        raise GalleryError("the gallery is empty: there is nothing to export.")
    people = sorted({entry.person for entry in entries})
    label = {name: number for number, name in enumerate(people)}
    maker = gallery.maker
    about = {
        "format": 1,
        "model": maker.fingerprint,
        "model_file": maker.name,
        "preprocessing": maker.preprocessing.model_dump(mode="json"),
        "flip": maker.flip,
    }
    try:
        with atomic.atomic_path(out) as temporary, temporary.open("wb") as handle:
            np.savez(
                handle,
                embeddings=np.stack([entry.vector for entry in entries]),
                names=np.array([entry.photo for entry in entries], np.str_),
                labels=np.array([label[entry.person] for entry in entries], np.int64),
                people=np.array(people, np.str_),
                about=np.array(json.dumps(about), np.str_),
            )
    except OSError as error:
        raise GalleryError(
            f"{out} cannot be written: {error.strerror}. Choose another place with --out."
        ) from error
    return len(entries)
