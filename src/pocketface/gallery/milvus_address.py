"""Where a gallery in Milvus is: `milvus:people.db`, or the address of a server.

    milvus:people.db                     Milvus Lite: a folder of that name, for one process
    http://host:19530                    a server, or a cluster's proxy
    https://host:19530/database#staff    one of several databases, and the collection in it

The collection is called `pocketface` where the address names none. A token is a secret, and the
command line is read by everybody on the machine: it comes from the environment alone.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pocketface.errors import GalleryError

LITE = "milvus:"
COLLECTION = "pocketface"
TOKEN_VARIABLE = "POCKETFACE_MILVUS_TOKEN"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
"""What Milvus allows as the name of a collection or a database."""


@dataclass(frozen=True)
class MilvusAddress:
    """A collection of a Milvus: `folder` for Milvus Lite, else `server`, as `http://host:port`.

    `text` is the address as the user wrote it. `token` is an API key or `user:password`, "" for
    none; it never shows in messages.
    """

    text: str
    collection: str = COLLECTION
    folder: Path | None = None
    server: str = ""
    database: str = ""
    token: str = field(default="", repr=False)

    @property
    def uri(self) -> str:
        """What the client calls it."""
        return self.server if self.folder is None else str(self.folder)


def is_milvus(text: str) -> bool:
    """Whether the address of a gallery is one of Milvus; else it is a file's path."""
    return text.startswith(LITE) or "://" in text


def parse_address(text: str, token: str = "") -> MilvusAddress:
    """The address that `text` is; `token` is for a server.

    Raises GalleryError for one that cannot be understood, or that holds a password.
    """
    plain, mark, collection = text.partition("#")
    collection = collection if mark else COLLECTION
    if not _NAME.fullmatch(collection):
        raise GalleryError(
            f"{collection[:60]!r} cannot be a collection of Milvus: letters, digits and _ are "
            f"allowed, and no digit first. Write it as {plain}#staff."
        )
    if plain.startswith(LITE) and "://" not in plain:
        return _lite(text, plain.removeprefix(LITE), collection)
    return _server(text, plain, collection, token)


def _lite(text: str, name: str, collection: str) -> MilvusAddress:
    folder = Path(name)
    if folder.suffix != ".db":
        raise GalleryError(
            f"{text}: Milvus Lite keeps a gallery in a folder whose name ends in .db. Write "
            f"{LITE}people.db."
        )
    if folder.is_file():
        raise GalleryError(
            f"{folder} is a file, where Milvus Lite keeps a folder. Is it a gallery of one file? "
            f"Then leave {LITE} out; else name another."
        )
    if not folder.absolute().parent.is_dir():
        raise GalleryError(f"{folder.absolute().parent} is no folder. Make it, or name another.")
    return MilvusAddress(text, collection, folder=folder)


def _server(text: str, plain: str, collection: str, token: str) -> MilvusAddress:
    form = f"Write http://host:19530 or https://host:19530/database, {LITE}people.db, or a path."
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError as error:
        raise GalleryError(f"{text[:200]!r} is no address of a gallery: {error}. {form}") from error
    if parts.username is not None or parts.password is not None:
        raise GalleryError(
            "The address of a gallery must not hold a user or a password, which others on this "
            f"machine could read. Put them into {TOKEN_VARIABLE}, as user:password."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise GalleryError(f"{text[:200]!r} is no address of a gallery. {form}")
    database = parts.path.strip("/")
    if parts.query or (database and not _NAME.fullmatch(database)):
        raise GalleryError(
            f"{text[:200]!r}: only the name of a database may follow the port. {form}"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    server = f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 19530)}"
    return MilvusAddress(text, collection, server=server, database=database, token=token)
