"""A gallery copied into another: from one file to Milvus, when it has outgrown the machine."""

from collections.abc import Callable, Iterator

from pocketface.gallery.gallery import Entry, Gallery, Template, check_maker
from pocketface.gallery.milvus_gallery import MilvusGallery
from pocketface.gallery.sqlite_gallery import SqliteGallery


def copy_gallery(
    source: Gallery,
    target: SqliteGallery | MilvusGallery,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Add all templates of `source` to `target`; gives how many were new. Nobody is removed.

    Into Milvus the numbers go as they are, to the last bit, a thousand templates at a time: a
    stopped copy goes on where it is begun again. Into a file they go in one transaction, brought to
    unit length once more. Kept faces are not copied. Raises GalleryError where the two are of
    different networks, and as `Gallery.export` and `enrol`.
    """
    check_maker(target.maker, source.maker, "the gallery to copy into")
    entries = _counted(source, progress)
    if isinstance(target, MilvusGallery):
        return target.add(entries)
    return target.enrol_many(
        (entry.person, [Template(entry.vector, entry.photo, entry.sha256)]) for entry in entries
    )


def _counted(source: Gallery, progress: Callable[[int, int], None] | None) -> Iterator[Entry]:
    if progress is None:
        yield from source.export()
        return
    total = source.stats().templates
    progress(0, total)
    for number, entry in enumerate(source.export(), 1):
        yield entry
        progress(number, total)
