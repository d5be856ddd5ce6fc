"""A gallery opened for a network: the right one, or one clear error."""

from pathlib import Path

from pocketface.card import ModelCard
from pocketface.embedding.embedder import Embedder
from pocketface.errors import GalleryError
from pocketface.gallery.block import Precision
from pocketface.gallery.gallery import Maker, check_maker
from pocketface.gallery.milvus_gallery import MilvusGallery
from pocketface.gallery.sqlite_gallery import SqliteGallery
from pocketface.gallery.where import gallery_at, is_begun


def open_gallery(
    path: Path | str, embedder: Embedder, name: str, *, precision: Precision = "float32"
) -> SqliteGallery | MilvusGallery:
    """The gallery at `path` for `embedder`, loaded from the file `name`; it must be there.

    `path` may be an address in Milvus. Whether image and mirror are summed is the gallery's own
    matter: `maker.flip` says it. Raises GalleryError as `gallery_at`, and where another network
    made the gallery, naming both.
    """
    gallery = gallery_at(str(path), precision=precision)
    try:
        wanted = Maker.of(embedder, name, flip=gallery.maker.flip)
        check_maker(gallery.maker, wanted, str(path))
    except BaseException:
        gallery.close()
        raise
    return gallery


def begin_gallery(
    path: Path | str,
    embedder: Embedder,
    name: str,
    *,
    flip: bool | None = None,
    keep_crops: bool | None = None,
) -> SqliteGallery | MilvusGallery:
    """As `open_gallery`, or a new one where there is none yet.

    `flip` and `keep_crops` are settled when a gallery is made; None takes what it has, and for a
    new one `usual_flip` and no crops. Raises GalleryError where it has them otherwise.
    """
    if is_begun(str(path)):
        gallery = open_gallery(path, embedder, name)
    else:
        usual = usual_flip(embedder.card) if flip is None else flip
        maker = Maker.of(embedder, name, flip=usual)
        gallery = gallery_at(str(path), maker, keep_crops=bool(keep_crops))
    try:
        if flip is not None:
            check_maker(gallery.maker, Maker.of(embedder, name, flip=flip), str(path))
        if keep_crops not in (None, gallery.keeps_crops):
            has = "keeps aligned faces" if gallery.keeps_crops else "keeps no aligned faces"
            raise GalleryError(
                f"{path} {has}; that was settled when it was made. Leave the option out, or begin "
                "a new gallery."
            )
    except BaseException:
        gallery.close()
        raise
    return gallery


def usual_flip(card: ModelCard | None) -> bool:
    """Whether to sum image and mirror: as the card's thresholds were measured, else yes."""
    if card is None or not card.thresholds:
        return True
    best = max(card.thresholds, key=lambda entry: (entry.calibrated, entry.impostor_pairs))
    return best.flip
