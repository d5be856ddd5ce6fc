"""Teacher embeddings on disk: computed once, found again, mended where they are broken."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.distill import CachedTeacher, EmbeddingCache, FaceBatch, Task, fill
from pocketface.distill.cache import images_per_shard
from pocketface.distill.claims import Claims
from pocketface.distill.mapped import MappedEmbeddings
from pocketface.errors import DataError

IMAGES, SHARD, SIZE = 23, 8, 4
PIXELS = np.random.default_rng(0).integers(0, 256, (IMAGES, 6, 6, 3), dtype=np.uint8)


class Counting:
    """A teacher that tells the sides of an image apart, and counts its work."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.images = 0
        self.opened = 0
        self.dies_after: int | None = None

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        if self.dies_after is not None and self.images >= self.dies_after:
            raise KeyboardInterrupt
        self.images += len(images)
        both = np.stack([expected(images), expected(images[:, :, ::-1])])
        return torch.from_numpy(self.scale * both)

    def open(self) -> Callable[[np.ndarray], torch.Tensor]:
        self.opened += 1
        return self


def expected(images: np.ndarray) -> np.ndarray:
    """Means of the four columns from the left, as float32."""
    return images[:, :, :4].mean(axis=(1, 3)).astype(np.float32)


class Reading:
    """The images, in batches of three; counts what is read."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, span: range) -> Iterator[np.ndarray]:
        for start in range(span.start, span.stop, 3):
            batch = PIXELS[start : min(start + 3, span.stop)]
            self.images += len(batch)
            yield batch


def open_cache(folder: Path) -> EmbeddingCache:
    cache = EmbeddingCache.open(folder, IMAGES, SIZE)
    if not (folder / "cache.json").exists():
        cache.shard_images = SHARD
    return cache


def fill_one(cache: EmbeddingCache, teacher: Counting, **options: object) -> None:
    fill([Task(cache, teacher.open)], Reading(), **options)


def gather(cache: EmbeddingCache, indices: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    return CachedTeacher(cache).embeddings.gather(indices, mirrored)


@pytest.fixture
def full(tmp_path) -> EmbeddingCache:
    cache = open_cache(tmp_path / "full")
    fill_one(cache, Counting())
    return cache


def test_a_cache_is_filled_once_and_the_second_run_pays_no_teacher(tmp_path):
    first, told = Counting(), []
    cache = open_cache(tmp_path)
    assert (cache.shards, cache.missing) == (3, [0, 1, 2])
    fill_one(cache, first, progress=told.append)
    assert (first.images, first.opened) == (IMAGES, 1)
    assert sum(told) == IMAGES
    second = Counting()
    again = open_cache(tmp_path)
    assert again.missing == []
    assert again.shard_images == SHARD
    fill_one(again, second)
    CachedTeacher(again)
    assert second.opened == 0


def test_gather_equals_a_loop_over_images_and_their_mirrors(full):
    rng = np.random.default_rng(1)
    indices = rng.integers(0, IMAGES, 40)
    mirrored = rng.random(40) < 0.5
    got = gather(full, indices, mirrored)
    assert got.dtype == np.float16
    for row, (index, mirror) in enumerate(zip(indices, mirrored, strict=True)):
        image = PIXELS[index, :, ::-1] if mirror else PIXELS[index]
        assert got[row] == pytest.approx(expected(image[None])[0].astype(np.float16))


def test_mirror_rows_are_those_of_the_mirrored_image(full):
    index = np.array([5])
    plain, mirror = (gather(full, index, np.array([m]))[0].astype(float) for m in (False, True))
    assert plain == pytest.approx(expected(PIXELS[5:6])[0], abs=0.1)
    assert mirror == pytest.approx(expected(PIXELS[5:6, :, ::-1])[0], abs=0.1)
    assert abs(plain - mirror).max() > 1


def test_an_interrupted_filling_goes_on_where_it_stopped(tmp_path):
    dying = Counting()
    dying.dies_after = SHARD + 2
    cache = open_cache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fill_one(cache, dying)
    assert [path.name for path in sorted(cache.folder.glob("*.npy"))] == ["shard_00000.npy"]
    fresh = Counting()
    again = open_cache(tmp_path)
    assert again.missing == [1, 2]
    with pytest.raises(DataError, match=r"lacks 2 of 3 shards"):
        CachedTeacher(again)
    fill_one(again, fresh)
    assert fresh.images == IMAGES - SHARD
    assert gather(again, np.arange(IMAGES), np.zeros(IMAGES, bool)) == pytest.approx(
        expected(PIXELS).astype(np.float16)
    )


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "checksum"])
def test_a_damaged_shard_is_found_and_computed_again(full, damage, old):
    before = gather(full, np.arange(IMAGES), np.ones(IMAGES, bool))
    if old:
        as_older_versions_wrote(full)
    path = full.shard_path(1)
    content = path.read_bytes()
    if damage == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(content[:-10])
    elif damage == "gone":
        path.unlink()
    else:
        path.with_name(f"{path.name}.sha256").write_text("" if old else "\udcff", errors="replace")
    again = open_cache(full.folder)
    broken = again.check(range(again.shards))
    mended = damage == "checksum" and old  # an empty one beside a good list of checksums
    assert broken == ([] if damage == "gone" or mended else [1])
    assert again.missing == ([] if mended else [1])
    teacher = Counting()
    fill_one(again, teacher)
    assert teacher.images == (0 if mended else SHARD)
    assert again.check(range(again.shards)) == []
    assert np.array_equal(gather(again, np.arange(IMAGES), np.ones(IMAGES, bool)), before)


def as_older_versions_wrote(cache: EmbeddingCache) -> None:
    """All checksums in the index, none beside the shards."""
    index = cache.folder / "cache.json"
    stored = json.loads(index.read_text())
    stored["shards"] = {}
    for number in range(cache.shards):
        path = cache.shard_path(number)
        stored["shards"][str(number)] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.sha256").unlink()
    index.write_text(json.dumps(stored))


def test_a_cache_of_an_older_version_is_read(full):
    before = gather(full, np.arange(IMAGES), np.zeros(IMAGES, bool))
    as_older_versions_wrote(full)
    again = open_cache(full.folder)
    assert (again.missing, again.check(range(3)), again.shard_images) == ([], [], SHARD)
    assert np.array_equal(gather(again, np.arange(IMAGES), np.zeros(IMAGES, bool)), before)


def test_a_part_of_a_check_looks_at_that_part(full):
    for number in (0, 1):
        path = full.shard_path(number)
        path.write_bytes(path.read_bytes() + b"x")
    assert full.check(range(1, 3, 2)) == [1]
    assert full.missing == [1]


def test_checksums_are_what_sha256sum_reads(full):
    names = [path.name for path in sorted(full.folder.glob("*.sha256"))]
    assert len(names) == 3
    subprocess.run(["sha256sum", "--check", "--strict", *names], cwd=full.folder, check=True)


def test_a_shard_that_is_cut_while_it_is_mapped_is_an_error_and_no_dead_process(full):
    teacher = CachedTeacher(full).embeddings
    plain = np.zeros(IMAGES, bool)
    teacher.gather(np.arange(IMAGES), plain)
    path = full.shard_path(1)
    with path.open("r+b") as file:
        file.truncate(100)
    assert len(teacher.gather(np.arange(SHARD), plain[:SHARD])) == SHARD  # another shard
    with pytest.raises(
        DataError, match=r"shard_00001.npy .* was cut from 256 to 100 bytes.*--resu"
    ):
        teacher.gather(np.arange(IMAGES), plain)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "magic"),
        (b"no array at all", "magic"),
        (np.zeros((2, SHARD, 5), np.float16), r"holds float16 \(2, 8, 5\)"),
        (np.zeros((2, SHARD, SIZE), np.float32), "holds float32"),
        (np.zeros((2, SHARD, SIZE), np.float16, order="F"), "holds float16"),
        (None, "No such file"),
    ],
)
def test_a_file_of_something_else_is_not_mapped(full, content, why):
    teacher = CachedTeacher(full).embeddings
    path = full.shard_path(0)
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(DataError, match=rf"shard_00000.npy cannot be used: .*{why}"):
        teacher.gather(np.array([0]), np.array([False]))


@given(
    shard_images=st.integers(1, 9),
    images=st.integers(1, 40),
    size=st.integers(1, 5),
    draws=st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=50),
)
@settings(max_examples=40, deadline=None)
def test_gather_is_indexing_whatever_the_shards(
    tmp_path_factory, shard_images, images, size, draws
):
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(images)
    rows = rng.standard_normal((2, images, size)).astype(np.float16)
    paths, shapes = [], []
    for start in range(0, images, shard_images):
        part = rows[:, start : start + shard_images]
        paths.append(folder / f"{start}.npy")
        np.save(paths[-1], part)
        shapes.append(part.shape)
    indices = np.array([number % images for number, _ in draws], np.int64)
    mirrored = np.array([mirror for _, mirror in draws], bool)
    got = MappedEmbeddings(paths, shapes, shard_images).gather(indices, mirrored)
    assert np.array_equal(got, rows[mirrored.astype(int), indices])


@given(st.integers(1, 10**8))
def test_shards_are_neither_many_nor_small(images):
    each = images_per_shard(images)
    assert -(-images // each) <= 512
    assert each >= 1024
    assert each == 1024 or images > 511 * (each - 1)


def test_several_teachers_look_at_images_that_are_read_once(tmp_path):
    caches = [open_cache(tmp_path / str(number)) for number in range(3)]
    fill_one(caches[1], Counting(2.0))
    caches[1].shard_path(2).unlink()  # one teacher lacks less than the others
    for at_once in (1, 2, 3):
        teachers, read, told = [Counting(scale) for scale in (1.0, 2.0, 3.0)], Reading(), []
        tasks = [Task(each, teacher.open) for each, teacher in zip(caches, teachers, strict=True)]
        fill(tasks, read, at_once=at_once, progress=told.append)
        assert read.images == IMAGES
        assert [teacher.images for teacher in teachers] == [IMAGES, 7, IMAGES]
        assert [teacher.opened for teacher in teachers] == [-(-3 // at_once), 1, -(-3 // at_once)]
        assert sum(told) == 2 * IMAGES + 7
        for scale, cache in enumerate(caches, 1):
            rows = gather(cache, np.arange(IMAGES), np.zeros(IMAGES, bool))
            assert rows == pytest.approx(scale * expected(PIXELS), rel=1e-3)
            for number in range(3) if scale != 2 else [2]:
                cache.shard_path(number).unlink()


def test_what_another_process_has_claimed_is_waited_for_and_not_done_twice(tmp_path):
    """The other process holds shard 0, computes it, and lets it go."""
    theirs = open_cache(tmp_path / "theirs")
    fill_one(theirs, Counting(3.0))
    cache = open_cache(tmp_path / "ours")
    other = holder(cache.folder)
    teacher, seen = Counting(), []

    def open_teacher() -> Counting:
        # By now the first pass is at shard 1: the other finishes.
        cache.add(0, np.load(theirs.shard_path(0)))
        other.communicate("done")
        return teacher

    fill([Task(cache, open_teacher)], Reading(), progress=seen.append)
    assert teacher.images == IMAGES - SHARD
    assert sum(seen) == IMAGES
    rows = gather(cache, np.arange(IMAGES), np.zeros(IMAGES, bool))
    assert rows[:SHARD] == pytest.approx(3 * expected(PIXELS[:SHARD]), rel=1e-3)
    assert rows[SHARD:] == pytest.approx(expected(PIXELS[SHARD:]), rel=1e-3)


def test_what_a_killed_process_had_claimed_is_done(tmp_path):
    cache = open_cache(tmp_path)
    other = holder(cache.folder)
    teacher = Counting()

    def open_teacher() -> Counting:
        other.kill()
        other.communicate()
        return teacher

    half = cache.shard_path(0).with_name("shard_00000.npy.tmp-123")
    half.write_bytes(b"half a shard")
    fill([Task(cache, open_teacher)], Reading())
    assert teacher.images == IMAGES
    assert cache.missing == []
    assert not half.exists()


def holder(folder: Path) -> "subprocess.Popen[str]":
    """A process that holds the claim on shard 0 until it is told to end."""
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX, 1, 0);"
        " print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code, str(folder / "cache.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    claims = Claims(tmp_path / "cache.lock")

    def refuse(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("pocketface.distill.claims.fcntl.lockf", refuse)
    with pytest.raises(DataError, match=r"cache.lock cannot be locked: No locks available. Put"):
        claims.take(0)
    claims.close()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"shards": {}}',
        '{"shard_images": 0, "shards": {}}',
        '{"shard_images": 8, "shards": {"one": "ab"}}',
        '{"shard_images": 8, "shards": {"1": "no hex"}}',
        '{"shard_images": 8, "shards": {"1": 3}}',
    ],
)
def test_an_index_that_is_none_is_named(full, content):
    (full.folder / "cache.json").write_text(content)
    with pytest.raises(DataError, match=r"cache.json is not the index .* Delete the folder"):
        open_cache(full.folder)


@pytest.mark.parametrize("key", ["images", "embedding_size"])
def test_an_index_of_other_sizes_is_refused(full, key):
    index = full.folder / "cache.json"
    stored = json.loads(index.read_text())
    stored[key] += 1
    index.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=rf"'{key}': {stored[key]}.* give .*'{key}'"):
        open_cache(full.folder)


@pytest.mark.parametrize("scale", [1e6, np.nan])
def test_numbers_that_float16_cannot_hold_are_refused_and_nothing_is_written(tmp_path, scale):
    cache = open_cache(tmp_path)
    with pytest.raises(DataError, match=r"8 of 8 images hold NaN or numbers beyond .* image 0 of"):
        fill_one(cache, Counting(scale))
    assert not list(tmp_path.rglob("*.npy"))


def test_too_few_images_are_noticed(tmp_path):
    cache = open_cache(tmp_path)
    with pytest.raises(DataError, match=r"expected 8 images from 0 on, read 3"):
        fill([Task(cache, Counting().open)], lambda span: iter([PIXELS[:3]]))


def test_a_cached_teacher_gives_the_rows_of_the_batch(full):
    teacher = CachedTeacher(full)
    assert teacher.embedding_size == SIZE
    indices, mirrored = torch.tensor([20, 3, 9]), torch.tensor([False, True, False])
    batch = FaceBatch(
        torch.zeros(3, 6, 6, 3, dtype=torch.uint8), torch.zeros(3).long(), indices, mirrored
    )
    embeddings = teacher.targets(batch).embeddings
    assert embeddings.dtype == torch.float32
    wanted = gather(full, indices.numpy(), mirrored.numpy())
    assert np.array_equal(embeddings.numpy(), wanted.astype(np.float32))
