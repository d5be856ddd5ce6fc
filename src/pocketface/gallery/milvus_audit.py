"""What can be found wrong with a gallery in Milvus, in words, and what to do about it."""

import numpy as np

from pocketface.gallery.milvus_gallery import MilvusGallery

_NAMED = 5
_LENGTH_ERROR = 1e-4
_MOST_COMPARED = 5_000_000
"""Templates whose photographs are compared: 32 bytes of each are held in memory for that."""


def audit_milvus(gallery: MilvusGallery) -> list[str]:
    """Everything that is wrong, a sentence each; empty if nothing is. Every row is read once.

    Vectors that are not of unit length, and one photograph under two names. Raises GalleryError as
    `MilvusGallery.export`.
    """
    owner: dict[bytes, str] = {}
    shared: dict[bytes, set[str]] = {}
    faulty: list[str] = []
    for count, entry in enumerate(gallery.export(), 1):
        length = float(np.linalg.norm(entry.vector.astype(np.float64)))
        if not abs(length - 1) < _LENGTH_ERROR:
            faulty.append(f"{entry.person}, {entry.photo}")
        if count <= _MOST_COMPARED:
            digest = bytes.fromhex(entry.sha256)
            first = owner.setdefault(digest, entry.person)
            if first != entry.person:
                shared.setdefault(digest, {first}).add(entry.person)
    found = [
        f"one photograph is enrolled under several names: {', '.join(sorted(names))}. Remove one."
        for names in shared.values()
    ]
    if faulty:
        named = "; ".join(faulty[:_NAMED]) + ("; ..." if faulty[_NAMED:] else "")
        found.append(
            f"{len(faulty):,} vectors are not of unit length ({named}): they were damaged, or "
            "written by another program. Enrol these people again."
        )
    return found
