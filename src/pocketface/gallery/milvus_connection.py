"""A connection to Milvus, and what can go wrong with it, in words.

`pymilvus` is imported when the first gallery in Milvus is opened, since it is an extra and slow to
import. Its errors are told once, by us, so its own printing of them is switched off.

Milvus Lite runs as a server within this process, one for each folder, and only one process can have
a folder open. It is stopped when the last gallery on it is closed. It takes one writer at a time:
galleries on one folder share a lock.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pocketface.errors import GalleryError, MissingExtraError
from pocketface.gallery.milvus_address import TOKEN_VARIABLE, MilvusAddress

if TYPE_CHECKING:
    from pymilvus import MilvusClient

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""How long it may take to answer anything else."""

LOAD_SECONDS = 3600.0
"""How long a server may take until it has a collection in memory."""

_LITE_GUARD = threading.Lock()
_LITE_OPEN: dict[str, tuple[int, threading.RLock]] = {}
"""Folders that Milvus Lite serves in this process: how many galleries, and their lock."""


class Connection:
    """An open client for `address`, and a lock to hold while writing.

    Raises MissingExtraError without pymilvus or Milvus Lite, GalleryError where nobody answers,
    the token is refused, or another process has the folder.
    """

    def __init__(self, address: MilvusAddress) -> None:
        self.address = address
        self.writing = threading.RLock()
        client_class = _client_class()
        if address.folder is not None:
            _need_lite()
            self.writing = _hold_lite(address)
        self._open = True
        try:
            with self.told():
                self.client: MilvusClient = client_class(
                    uri=address.uri,
                    token=address.token,
                    db_name=address.database,
                    timeout=CONNECT_SECONDS,
                )
        except BaseException:
            self._let_go()
            raise

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Turn the client's errors into GalleryErrors."""
        import grpc
        from pymilvus import MilvusException

        try:
            yield
        except MilvusException as error:
            raise GalleryError(_words(self.address, error.code, str(error.message))) from error
        except grpc.RpcError as error:
            raise GalleryError(_words(self.address, 0, str(error))) from error
        except ValueError as error:
            if "closed channel" not in str(error).lower():
                raise
            raise GalleryError(f"{self.address.text} was closed. Open it again.") from error

    def close(self) -> None:
        """Close the client; harmless if it was."""
        if self._open:
            with self.told():
                self.client.close()
            self._let_go()

    def _let_go(self) -> None:
        self._open = False
        if self.address.folder is not None:
            _release_lite(self.address)


def _client_class() -> "type[MilvusClient]":
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise MissingExtraError("A gallery in Milvus", "milvus") from error
    # It prints a traceback for every error that it raises, with handlers of its own.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)
    lite = logging.getLogger("milvus_lite")
    if not lite.handlers:
        lite.addHandler(logging.NullHandler())
        lite.propagate = False
    # The client asks for what Milvus Lite does not have, and goes on without it.
    logging.getLogger("grpc._server").addFilter(_is_news)
    found: type[MilvusClient] = MilvusClient
    return found


def _is_news(record: logging.LogRecord) -> bool:
    return "Method not implemented" not in record.getMessage()


def _need_lite() -> None:
    try:
        import milvus_lite  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("A gallery of Milvus Lite", "milvus") from error


def _key(address: MilvusAddress) -> str:
    assert address.folder is not None
    return str(address.folder.absolute())


def _hold_lite(address: MilvusAddress) -> threading.RLock:
    with _LITE_GUARD:
        count, lock = _LITE_OPEN.get(_key(address), (0, threading.RLock()))
        _LITE_OPEN[_key(address)] = (count + 1, lock)
        return lock


def _release_lite(address: MilvusAddress) -> None:
    from milvus_lite.server_manager import server_manager_instance

    with _LITE_GUARD:
        count, lock = _LITE_OPEN.pop(_key(address))
        if count > 1:
            _LITE_OPEN[_key(address)] = (count - 1, lock)
        else:
            server_manager_instance.release_server(_key(address))


def _words(address: MilvusAddress, code: int, message: str) -> str:
    where, low = address.text, message.lower()
    if "open local milvus failed" in low:
        return (
            f"{where} cannot be opened: another process has it open, its folder cannot be written, "
            "or it is of an older Milvus Lite. Milvus Lite is for one process at a time; for "
            "several run a server, and name it as http://host:19530."
        )
    if "unauthenticated" in low or "auth check" in low or "permission" in low:
        given = "was refused" if address.token else "is needed"
        return f"{where}: a token {given}. Put it into {TOKEN_VARIABLE}: a key, or user:password."
    if "fail connecting" in low or "unavailable" in low:
        return (
            f"{where}: no Milvus answers there. Check the address and the port, and that the "
            "server runs; https:// is needed where it speaks TLS."
        )
    if "connection first" in low:
        return f"{where} was closed. Open it again."
    if "deadline" in low or "timeout" in low or "timed out" in low:
        return (
            f"{where}: Milvus did not answer in time. See whether the server is overloaded or "
            "still loading the collection, and repeat."
        )
    if "database not found" in low:
        return (
            f"{where}: there is no database {address.database!r}. Make it first, or leave it out."
        )
    return f"{where}: Milvus says: {message.strip()[:300]} (code {code})."
