"""Writing a training set in either layout: a folder per person, or RecordIO."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pocketface.data.jpeg import JPEG_START
from pocketface.data.record_writer import write_faces
from pocketface.errors import DataError

Layout = Literal["folder", "rec"]


def write_set(
    target: Path,
    people: Sequence[str],
    counts: Sequence[int],
    images: Iterable[bytes],
    layout: Layout,
) -> None:
    """Write `<person>/<person>_0001.jpg`..., or `train.rec` and `train.idx`, in a folder.

    The files of a folder per person are not synced one by one, and stand there as they come: write
    to a folder that is renamed when it is whole.

    Args:
        target: made where it is missing.
        people: a name for each, which becomes a folder; RecordIO numbers them instead.
        counts: images of each.
        images: JPEG or PNG files, person by person.
        layout: which of the two.

    Raises:
        DataError: if there are fewer images or more than `counts` says.
    """
    if layout == "rec":
        write_faces(target / "train.rec", counts, images)
        return
    given = iter(images)
    for person, count in zip(people, counts, strict=True):
        folder = target / person
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            image = next(given, None)
            if image is None:
                raise DataError(f"{folder}: {count} images were promised, {number - 1} were given.")
            ending = "jpg" if image.startswith(JPEG_START) else "png"
            (folder / f"{person}_{number:04d}.{ending}").write_bytes(image)
    if next(given, None) is not None:
        raise DataError(f"{target}: more than the promised {sum(counts)} images were given.")
