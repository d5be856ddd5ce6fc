"""A gallery from one string: a file's path, `milvus:people.db`, or `http://host:19530`."""

import os
from pathlib import Path

from pocketface.errors import GalleryError
from pocketface.gallery.block import Precision
from pocketface.gallery.gallery import Maker
from pocketface.gallery.milvus_address import (
    TOKEN_VARIABLE,
    MilvusAddress,
    is_milvus,
    parse_address,
)
from pocketface.gallery.milvus_collection import IndexKind
from pocketface.gallery.milvus_connection import ANSWER_SECONDS, Connection
from pocketface.gallery.milvus_gallery import MilvusGallery
from pocketface.gallery.sqlite_gallery import SqliteGallery


def gallery_at(
    where: str,
    maker: Maker | None = None,
    *,
    keep_crops: bool = False,
    precision: Precision = "float32",
    index: IndexKind | None = None,
) -> SqliteGallery | MilvusGallery:
    """The gallery at `where`, which is made where it is missing, if `maker` is given.

    `keep_crops` and `precision` are for a file, `index` for Milvus. The token for a server comes
    from the environment, POCKETFACE_MILVUS_TOKEN. Raises GalleryError as `SqliteGallery` and
    `MilvusGallery`, and for an option that is for the other kind.
    """
    if not is_milvus(where):
        if index is not None:
            raise GalleryError(
                f"{where} is a file, which is searched exactly: the index {index} is for a "
                "gallery in Milvus. Leave it out."
            )
        return SqliteGallery(Path(where), maker, keep_crops=keep_crops, precision=precision)
    if keep_crops:
        raise GalleryError(
            f"{where}: a gallery in Milvus keeps no aligned faces. Keep them in a gallery of one "
            "file, and copy that to Milvus."
        )
    return MilvusGallery(_address(where), maker, index=index)


def is_begun(where: str) -> bool:
    """Whether there is something at `where` already: a file that is not empty, or a collection.

    Raises GalleryError where Milvus does not answer.
    """
    if not is_milvus(where):
        return Path(where).is_file() and Path(where).stat().st_size > 0
    address = _address(where)
    if address.folder is not None and not address.folder.exists():
        return False
    connection = Connection(address)
    try:
        with connection.told():
            return bool(
                connection.client.has_collection(address.collection, timeout=ANSWER_SECONDS)
            )
    finally:
        connection.close()


def _address(where: str) -> MilvusAddress:
    return parse_address(where, os.environ.get(TOKEN_VARIABLE, ""))
