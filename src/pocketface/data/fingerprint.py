"""The content identity of a data set: what caches and checkpoints are bound to."""

import hashlib
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketface.data.faces import Faces


def fingerprint_of(faces: "Faces") -> str:
    """sha256 (hexadecimal) of everything that a network can learn from `faces`, in order.

    Hashed are the number of people and their names, then for every image its label, its size and
    the sha256 of its encoded bytes. Every byte is read: the cost is one pass over the data. The
    place of the data set and the names of its files are left out: a copy is the same data.
    """
    digest = hashlib.sha256(b"pocketface faces 1\n")
    digest.update(struct.pack("<Q", len(faces.people)))
    for person in faces.people:
        name = person.encode("utf-8", "surrogateescape")
        digest.update(struct.pack("<Q", len(name)) + name)
    for i, label in enumerate(faces.labels):
        data = faces.encoded(i)
        digest.update(struct.pack("<qQ", label, len(data)))
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def joint_fingerprint(fingerprints: Sequence[str]) -> str:
    """sha256 (hexadecimal) of several data sets' fingerprints, in order."""
    return hashlib.sha256("\n".join(["pocketface sources 1", *fingerprints]).encode()).hexdigest()
