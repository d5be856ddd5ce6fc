"""Teacher embeddings on disk: computed once, found again, mended where they are broken."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketface.distill import CachedTeacher, EmbeddingCache, FaceBatch
from pocketface.errors import DataError

IMAGES, SHARD, SIZE = 23, 8, 4
PIXELS = np.random.default_rng(0).integers(0, 256, (IMAGES, 6, 6, 3), dtype=np.uint8)


class Counting:
    """An embedder that tells the sides of an image apart, and counts its work."""

    embedding_size = SIZE

    def __init__(self, fingerprint: str = "a" * 64, scale: float = 1.0) -> None:
        self.fingerprint = fingerprint
        self.scale = scale
        self.images = 0
        self.dies_after: int | None = None

    def embed(self, images: np.ndarray) -> np.ndarray:
        if self.dies_after is not None and self.images >= self.dies_after:
            raise KeyboardInterrupt
        self.images += len(images)
        assert images.flags.c_contiguous
        return self.scale * expected(images)


def expected(images: np.ndarray) -> np.ndarray:
    """Means of the four columns from the left, as float32."""
    return images[:, :, :4].mean(axis=(1, 3)).astype(np.float32)


def read(span: range, batch: int = 3) -> Iterator[np.ndarray]:
    for start in range(span.start, span.stop, batch):
        yield PIXELS[start : min(start + batch, span.stop)]


def open_cache(root: Path, embedder: Counting, data: str = "b" * 64) -> EmbeddingCache:
    cache = EmbeddingCache.open(root, embedder, data, IMAGES)
    if not (cache.folder / "cache.json").exists():
        cache.shard_images = SHARD
    return cache


@pytest.fixture
def full(tmp_path) -> EmbeddingCache:
    cache = open_cache(tmp_path, Counting())
    cache.fill(Counting(), read)
    return cache


def test_a_cache_is_filled_once_and_the_second_run_pays_no_teacher(tmp_path):
    first, told = Counting(), []
    cache = open_cache(tmp_path, first)
    assert (cache.shards, cache.missing) == (3, [0, 1, 2])
    cache.fill(first, read, told.append)
    assert first.images == 2 * IMAGES  # image and mirror
    assert sum(told) == IMAGES
    second = Counting()
    again = open_cache(tmp_path, second)
    assert again.missing == []
    assert again.shard_images == SHARD
    again.fill(second, read)
    CachedTeacher(again)
    assert second.images == 0


def test_gather_equals_a_loop_over_images_and_their_mirrors(full):
    rng = np.random.default_rng(1)
    indices = rng.integers(0, IMAGES, 40)
    mirrored = rng.random(40) < 0.5
    got = full.gather(indices, mirrored)
    assert got.dtype == np.float32
    for row, (index, mirror) in enumerate(zip(indices, mirrored, strict=True)):
        image = PIXELS[index, :, ::-1] if mirror else PIXELS[index]
        assert got[row] == pytest.approx(expected(image[None])[0].astype(np.float16))


def test_mirror_rows_are_those_of_the_mirrored_image(full):
    index = np.array([5])
    plain, mirror = (full.gather(index, np.array([m]))[0] for m in (False, True))
    assert plain == pytest.approx(expected(PIXELS[5:6])[0], abs=0.1)
    assert mirror == pytest.approx(expected(PIXELS[5:6, :, ::-1])[0], abs=0.1)
    assert abs(plain - mirror).max() > 1


def test_an_interrupted_filling_goes_on_where_it_stopped(tmp_path):
    dying = Counting()
    dying.dies_after = 2 * SHARD + 4
    cache = open_cache(tmp_path, dying)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(dying, read)
    assert [path.name for path in sorted(cache.folder.glob("*.npy"))] == ["shard_00000.npy"]
    fresh = Counting()
    again = open_cache(tmp_path, fresh)
    assert again.missing == [1, 2]
    with pytest.raises(DataError, match=r"lacks 2 of 3 shards"):
        CachedTeacher(again)
    again.fill(fresh, read)
    assert fresh.images == 2 * (IMAGES - SHARD)
    assert again.gather(np.arange(IMAGES), np.zeros(IMAGES, bool)) == pytest.approx(
        expected(PIXELS).astype(np.float16)
    )


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_shard_is_found_and_computed_again(tmp_path, full, damage):
    before = full.gather(np.arange(IMAGES), np.ones(IMAGES, bool))
    path = full.shard_path(1)
    content = path.read_bytes()
    if damage == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(content[:-10])
    else:
        path.unlink()
    embedder = Counting()
    again = open_cache(tmp_path, embedder)
    assert again.missing == [1]
    again.fill(embedder, read)
    assert embedder.images == 2 * SHARD
    assert np.array_equal(again.gather(np.arange(IMAGES), np.ones(IMAGES, bool)), before)


def test_a_shard_computed_again_is_not_read_from_before(full):
    # Its old memory map would still show the removed file.
    indices, plain = np.arange(IMAGES), np.zeros(IMAGES, bool)
    before = full.gather(indices, plain)
    del full.checksums[0]
    full.fill(Counting(scale=2.0), read)
    assert full.gather(indices[:SHARD], plain[:SHARD]) == pytest.approx(
        2 * before[:SHARD], rel=1e-3
    )
    assert np.array_equal(full.gather(indices[SHARD:], plain[SHARD:]), before[SHARD:])


def test_key_changes_with_teacher_and_data(tmp_path, full):
    folders = {
        open_cache(tmp_path, Counting(teacher * 64), data * 64).folder
        for teacher, data in ("ab", "ac", "cb")
    }
    assert len(folders) == 3
    assert full.folder in folders
    assert open_cache(tmp_path, Counting("c" * 64)).missing == [0, 1, 2]
    assert open_cache(tmp_path, Counting(), "c" * 64).missing == [0, 1, 2]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"shard_images": 8}',
        '{"shard_images": 0, "shards": {}}',
        '{"shard_images": 8, "shards": {"one": "ab"}}',
        '{"shard_images": 8, "shards": {"1": "no hex"}}',
        '{"shard_images": 8, "shards": {"1": 3}}',
    ],
)
def test_an_index_that_is_none_is_named(tmp_path, full, content):
    (full.folder / "cache.json").write_text(content)
    with pytest.raises(DataError, match=r"cache.json is not the index .* Delete the folder"):
        open_cache(tmp_path, Counting())


@pytest.mark.parametrize("key", ["images", "embedding_size"])
def test_an_index_of_other_sizes_is_refused(tmp_path, full, key):
    index = full.folder / "cache.json"
    stored = json.loads(index.read_text())
    stored[key] += 1
    index.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=rf"'{key}': {stored[key]}.* give .*'{key}'"):
        open_cache(tmp_path, Counting())


@pytest.mark.parametrize("scale", [1e6, np.nan])
def test_numbers_that_float16_cannot_hold_are_refused_and_nothing_is_written(tmp_path, scale):
    cache = open_cache(tmp_path, Counting(scale=scale))
    with pytest.raises(DataError, match=r"8 of 8 images hold NaN or numbers beyond .* image 0 of"):
        cache.fill(Counting(scale=scale), read)
    assert not list(tmp_path.rglob("*.npy"))


def test_too_few_images_are_noticed(tmp_path):
    cache = open_cache(tmp_path, Counting())
    with pytest.raises(DataError, match=r"expected 8 images from 0 on, read 3"):
        cache.fill(Counting(), lambda span: iter([PIXELS[:3]]))


def test_a_cached_teacher_gives_the_rows_of_the_batch(full):
    teacher = CachedTeacher(full)
    assert teacher.embedding_size == SIZE
    indices, mirrored = torch.tensor([20, 3, 9]), torch.tensor([False, True, False])
    batch = FaceBatch(
        torch.zeros(3, 6, 6, 3, dtype=torch.uint8), torch.zeros(3).long(), indices, mirrored
    )
    embeddings = teacher.targets(batch).embeddings
    assert embeddings.dtype == torch.float32
    assert np.array_equal(embeddings.numpy(), full.gather(indices.numpy(), mirrored.numpy()))
