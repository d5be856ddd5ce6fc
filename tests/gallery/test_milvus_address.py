"""Addresses of galleries in Milvus: what is understood, what is refused, that secrets stay so."""

from pathlib import Path

import pytest

from pocketface.errors import GalleryError
from pocketface.gallery.milvus_address import is_milvus, parse_address
from pocketface.gallery.where import gallery_at


@pytest.mark.parametrize(
    ("text", "uri", "database", "collection"),
    [
        ("milvus:people.db", "people.db", "", "pocketface"),
        ("milvus:people.db#staff", "people.db", "", "staff"),
        ("http://host", "http://host:19530", "", "pocketface"),
        ("http://host:1234/", "http://host:1234", "", "pocketface"),
        ("https://host", "https://host:443", "", "pocketface"),
        ("https://host:19530/faces#_a1", "https://host:19530", "faces", "_a1"),
        ("http://[::1]:19530", "http://[::1]:19530", "", "pocketface"),
    ],
)
def test_addresses_are_understood(text: str, uri: str, database: str, collection: str) -> None:
    assert is_milvus(text)
    found = parse_address(text, "secret")
    assert (found.uri, found.database, found.collection) == (uri, database, collection)
    assert found.text == text
    assert found.token == ("" if text.startswith("milvus:") else "secret")
    assert "secret" not in f"{found} {found!r}"


@pytest.mark.parametrize("text", ["people.gallery", "/a/people", "./milvus", "C:people"])
def test_paths_are_files(text: str) -> None:
    assert not is_milvus(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("milvus:people", r"ends in \.db"),
        ("milvus:", r"ends in \.db"),
        ("milvus:no folder/people.db", "is no folder"),
        ("milvus:people.db#", "cannot be a collection"),
        ("http://host#1st", "no digit first"),
        ("http://host:port", "no address"),
        ("http://host:99999", "no address"),
        ("http://", "no address"),
        ("ftp://host", "no address"),
        ("milvus:http://host", "no address"),
        ("http://host/a/b", "only the name of a database"),
        ("http://host?token=1", "only the name of a database"),
    ],
)
def test_others_are_refused_with_the_mend(text: str, words: str) -> None:
    with pytest.raises(GalleryError, match=words):
        parse_address(text)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(GalleryError, match="POCKETFACE_MILVUS_TOKEN") as caught:
        parse_address("http://root:hush@host:19530")
    assert "hush" not in str(caught.value)


def test_a_file_is_no_folder_of_milvus(tmp_path: Path) -> None:
    (tmp_path / "people.db").write_bytes(b"")
    with pytest.raises(GalleryError, match=r"is a file.*leave milvus: out"):
        parse_address(f"milvus:{tmp_path / 'people.db'}")


def test_options_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="HNSW"):
        gallery_at(str(tmp_path / "g"), index="HNSW")
    with pytest.raises(GalleryError, match="keeps no aligned faces"):
        gallery_at("http://127.0.0.1:1", keep_crops=True)
