"""A gallery's collection in Milvus: its fields, its index, and which network made it.

One row is one template. Its key is the person's name in hexadecimal, a point, and the template's
sha256: a face that is enrolled twice is one row, whoever enrols it, rows in the order of keys
are in the order of names, and no name can break out of a filter.

The field of the vectors is called after the network that makes them. Who asks with embeddings of
another asks for a field that is not there, and Milvus itself refuses: even where the collection was
made anew by another process a moment ago, embeddings of two networks are never compared.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from pocketface.errors import GalleryError
from pocketface.gallery.gallery import LONGEST_NAME, Maker
from pocketface.gallery.milvus_address import MilvusAddress
from pocketface.gallery.milvus_connection import ANSWER_SECONDS, LOAD_SECONDS, Connection
from pocketface.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pymilvus import MilvusClient

FORMAT = "1"
_FORMAT_KEY = "pocketface.format"
_MAKER_KEY = "pocketface.maker"

LONGEST_PHOTO = 4096
"""Bytes of a photograph's name."""

IndexKind = Literal["FLAT", "HNSW", "IVF_FLAT"]


@dataclass(frozen=True)
class Index:
    """How Milvus finds the most similar vectors: how it is built, and how it is asked.

    FLAT compares with every one: exact. The others are quicker and miss some; their figures are our
    choice. `exact` says which it is.
    """

    kind: IndexKind
    build: dict[str, int]
    exact: bool

    def ask(self, limit: int) -> dict[str, int]:
        """What a search for `limit` vectors says to the index."""
        if self.kind == "HNSW":
            return {"ef": max(128, 2 * limit)}
        if self.kind == "IVF_FLAT":
            return {"nprobe": 64}
        return {}


INDICES: dict[str, Index] = {
    "FLAT": Index("FLAT", {}, exact=True),
    "HNSW": Index("HNSW", {"M": 32, "efConstruction": 200}, exact=False),
    "IVF_FLAT": Index("IVF_FLAT", {"nlist": 1024}, exact=False),
}


def vector_field(maker: Maker) -> str:
    """The name of the field that holds embeddings of `maker` and of no other."""
    what = f"{maker.fingerprint} {maker.embedding_size} {int(maker.flip)}"
    return f"embedding_{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def key_of(person: str, sha256: str) -> str:
    """The key of a person's template."""
    return f"{person.encode().hex()}.{sha256}"


def sha256_of(key: str) -> str:
    """The sha256 in a template's key."""
    return key.rpartition(".")[2]


def rows_of(person: str) -> str:
    """The filter that a person's rows pass."""
    name = person.encode().hex()
    return f'id > "{name}." and id < "{name}/"'  # / comes after . and before every digit


def create(connection: Connection, maker: Maker, index: Index) -> None:
    """Make the collection, unless another process was quicker."""
    from pymilvus import DataType, MilvusException

    client, name = connection.client, connection.address.collection
    vectors = vector_field(maker)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    key_bytes = 2 * 4 * LONGEST_NAME + 1 + 64
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=key_bytes)
    schema.add_field("person", DataType.VARCHAR, max_length=4 * LONGEST_NAME)
    schema.add_field("photo", DataType.VARCHAR, max_length=LONGEST_PHOTO)
    schema.add_field("enrolled", DataType.INT64)
    schema.add_field(vectors, DataType.FLOAT_VECTOR, dim=maker.embedding_size)
    indices = client.prepare_index_params()
    indices.add_index(vectors, index_type=index.kind, metric_type="IP", params=index.build)
    try:
        client.create_collection(
            name,
            schema=schema,
            index_params=indices,
            # What was enrolled is found, and what was removed is not, as soon as it is said.
            consistency_level="Strong",
            properties={_FORMAT_KEY: FORMAT, _MAKER_KEY: _written(maker)},
            timeout=ANSWER_SECONDS,
        )
    except MilvusException:
        if not client.has_collection(name, timeout=ANSWER_SECONDS):
            raise


def load(client: "MilvusClient", name: str) -> None:
    """Have the collection in the server's memory; quick where it is there."""
    client.load_collection(name, timeout=LOAD_SECONDS)


def read_maker(client: "MilvusClient", address: MilvusAddress) -> Maker:
    """The maker of a collection that is there. Raises GalleryError for one that is not ours."""
    found = client.describe_collection(address.collection, timeout=ANSWER_SECONDS)
    properties: dict[str, str] = found.get("properties") or {}
    where = f"{address.text}, collection {address.collection}"
    if _FORMAT_KEY not in properties:
        raise GalleryError(
            f"{where}, is not a gallery of ours. Name another collection, as "
            f"{address.text.partition('#')[0]}#staff."
        )
    if properties[_FORMAT_KEY] != FORMAT:
        raise GalleryError(
            f"{where}, is a gallery of format {properties[_FORMAT_KEY][:20]}; this PocketFace "
            f"knows format {FORMAT}. Use the PocketFace that wrote it."
        )
    try:
        maker = _read(properties[_MAKER_KEY])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise GalleryError(
            f"{where}, does not say which network made it. Enrol the people again into another."
        ) from error
    if vector_field(maker) not in {field["name"] for field in found["fields"]}:
        raise GalleryError(
            f"{where}, holds embeddings of another network than it says. Make it anew."
        )
    return maker


def read_index(client: "MilvusClient", name: str, maker: Maker) -> Index:
    """The index of the vectors. Raises GalleryError for one that we do not know."""
    field = vector_field(maker)
    found: dict[str, Any] = client.describe_index(name, field, timeout=ANSWER_SECONDS) or {}
    kind, metric = str(found.get("index_type")), str(found.get("metric_type"))
    if kind not in INDICES or metric != "IP":
        raise GalleryError(
            f"the collection {name} has the index {kind} by {metric}; known are "
            f"{', '.join(INDICES)} by IP. Drop the index and make one of these."
        )
    return INDICES[kind]


def _written(maker: Maker) -> str:
    return json.dumps(
        {
            "fingerprint": maker.fingerprint,
            "embedding_size": maker.embedding_size,
            "flip": maker.flip,
            "name": maker.name,
            "preprocessing": maker.preprocessing.model_dump(mode="json"),
        }
    )


def _read(text: str) -> Maker:
    found = json.loads(text)
    return Maker(
        str(found["fingerprint"]),
        int(found["embedding_size"]),
        bool(found["flip"]),
        str(found["name"]),
        Preprocessing.model_validate(found["preprocessing"]),
    )
