"""What is asked of a gallery's collection in Milvus; errors are the client's."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketface.errors import GalleryError
from pocketface.gallery.milvus_collection import Index
from pocketface.gallery.milvus_connection import ANSWER_SECONDS, LOAD_SECONDS
from pocketface.gallery.milvus_search import Floats, Hit

if TYPE_CHECKING:
    from pymilvus import MilvusClient

PAGE = 1000
"""Rows that are written at once. Milvus takes 64 MB."""

_PAGE_READ = 8192
"""Rows that are read at once, for the same reason."""


class MilvusTable:
    """The rows of the collection `name`, with the field `vectors` and its `index`."""

    def __init__(self, client: "MilvusClient", name: str, vectors: str, index: Index) -> None:
        self._client = client
        self._name = name
        self._vectors = vectors
        self._index = index

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that are there."""
        found: set[str] = set()
        for start in range(0, len(keys), PAGE):
            rows = self._client.get(
                self._name,
                ids=list(keys[start : start + PAGE]),
                output_fields=["id"],
                timeout=ANSWER_SECONDS,
            )
            found.update(row["id"] for row in rows)
        return found

    def upsert(self, rows: list[dict[str, Any]]) -> None:
        """Write rows; one whose key is there is replaced."""
        self._client.upsert(self._name, rows, timeout=ANSWER_SECONDS)

    def settle(self) -> None:
        """Have what was written indexed now, after many rows: until then searches are slow.

        Milvus does it by itself later, so where it refuses, for there were too many requests of
        the kind, nothing is lost.
        """
        from pymilvus import MilvusException

        with contextlib.suppress(MilvusException):
            self._client.flush(self._name, timeout=LOAD_SECONDS)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the rows of these keys."""
        for start in range(0, len(keys), PAGE):
            self._client.delete(
                self._name, ids=list(keys[start : start + PAGE]), timeout=ANSWER_SECONDS
            )

    def count(self) -> int:
        """How many rows there are."""
        (row,) = self._client.query(
            self._name, filter="", output_fields=["count(*)"], timeout=ANSWER_SECONDS
        )
        return int(row["count(*)"])

    def rows(self, condition: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """All rows that pass the filter, in the order of keys, with these fields and the key.

        Raises GalleryError where they do not have them.
        """
        pages = self._client.query_iterator(
            self._name,
            batch_size=_PAGE_READ,
            filter=condition,
            output_fields=["id", *fields],
            timeout=ANSWER_SECONDS,
        )
        try:
            while page := pages.next():
                for field in set(fields) - set(page[0]):  # Milvus Lite passes over such a field
                    raise GalleryError(
                        f"the collection {self._name} has no field {field}. Make it anew."
                    ) from KeyError(field)
                yield from page
        finally:
            pages.close()

    def most_similar(self, queries: Floats, limit: int, without: list[str]) -> list[list[Hit]]:
        """Milvus's answer, best first; see `milvus_search.Ask`."""
        found = self._client.search(
            self._name,
            data=list(queries.astype(np.float32)),
            anns_field=self._vectors,
            limit=limit,
            filter=_others_than(without),
            search_params={"metric_type": "IP", "params": self._index.ask(limit)},
            output_fields=["person", "photo", "enrolled", self._vectors],
            timeout=ANSWER_SECONDS,
        )
        return [
            [
                Hit(
                    hit["entity"]["person"],
                    hit["entity"]["photo"],
                    (hit["entity"]["enrolled"], hit["id"]),
                    hit["distance"],
                    np.asarray(hit["entity"][self._vectors], np.float32),
                )
                for hit in hits
            ]
            for hits in found
        ]


def _others_than(people: list[str]) -> str:
    """The filter that all rows pass but those of `people`; "" where these are none."""
    quoted = ", ".join(json.dumps(name, ensure_ascii=False) for name in people)
    return f"person not in [{quoted}]" if people else ""
