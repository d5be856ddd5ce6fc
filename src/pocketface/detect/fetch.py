"""Download a file whose sha256 is known: the right bytes arrive, or nothing does."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path

from pocketface.atomic import write_bytes
from pocketface.detect.published import PublishedFile
from pocketface.errors import DataError, RecipeError

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""

MAX_BYTES = 100_000_000
"""A file whose size is not known is read up to this; no detector of faces needs more."""

_PART = 1 << 16


def check_source(source: PublishedFile) -> None:
    """Raises RecipeError for an address that is no http(s) address, or a sha256 that is none."""
    if not re.match(r"https?://[^/\s]+/", source.address):
        raise RecipeError(
            f"the address must begin with https:// and name a host and a file, got "
            f"{source.address}."
        )
    if not re.fullmatch(r"[0-9a-fA-F]{64}", source.sha256):
        raise RecipeError(
            f"a sha256 has 64 hexadecimal digits, got {source.sha256!r}. Copy it from where the "
            "file is published."
        )


def is_intact(path: Path, source: PublishedFile) -> bool:
    """Whether `path` is there and has the published bytes."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256.lower()
    except OSError:
        return False


def fetch(source: PublishedFile, target: Path, *, timeout: float = TIMEOUT) -> None:
    """Download `source` to `target`, which appears whole and checked, or not at all.

    No more than `source.bytes` are read (`MAX_BYTES` where that is 0). Raises RecipeError as
    `check_source`, and DataError where the server does not answer, or other bytes arrive than those
    of `source.sha256`, or `target` cannot be written.
    """
    check_source(source)
    content = _download(source, timeout)
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256.lower():
        raise DataError(
            f"{source.address} gave {len(content):,} bytes with the sha256 {found}, where "
            f"{source.sha256.lower()} is expected. Nothing was kept. Try again later, or get the "
            "file by hand and name it with --detector."
        )
    try:
        write_bytes(target, content)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written: {error.strerror}. Make room there, or choose another "
            "place with --out."
        ) from error


def _download(source: PublishedFile, timeout: float) -> bytes:
    most = source.bytes or MAX_BYTES
    request = urllib.request.Request(source.address, headers={"User-Agent": "pocketface"})
    content = bytearray()
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            while part := answer.read(_PART):
                content += part
                if len(content) > most:
                    raise DataError(
                        f"{source.address} gives more than {most:,} bytes, so it is another file. "
                        "Nothing was kept."
                    )
    except (OSError, http.client.HTTPException) as error:
        # HTTPError, URLError and a timeout are all OSErrors.
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise DataError(
            f"{source.address} cannot be downloaded: {code}{reason}. Nothing was kept. Check the "
            "connection, or get the file by hand and name it with --detector."
        ) from error
    return bytes(content)
