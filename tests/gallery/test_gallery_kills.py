"""Processes that are killed while they enrol or search, and two that work at once."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from gallery_made import MAKER, SIZE, template

from pocketface.gallery import SqliteGallery
from pocketface.gallery.audit import audit

KILLS = 50


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(SIZE)


def enrol_and_tell(path: Path, first: int, told: int) -> None:
    """Enrol photograph after photograph, searching now and then; each is told when it is safe."""
    gallery = SqliteGallery(path, MAKER, precision=("float32", "float16")[first % 2])
    for number in range(first, first + 10_000):
        crop = os.urandom(3000)  # several pages for each transaction
        gallery.enrol(f"{number:06d}", [template(vector(number), f"{number}", crop)])
        os.write(told, number.to_bytes(4, "little"))
        if number % 3 == 0:
            gallery.search(vector(number)[None])


@pytest.mark.slow
def test_fifty_kills_lose_at_most_the_photograph_under_way(tmp_path: Path) -> None:
    """Forked from this process, which is warm and opens no gallery before the last is dead."""
    path = tmp_path / "g"
    generator = np.random.default_rng(0)
    first = 0
    safe: list[int] = []
    for _ in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                enrol_with_crops(path, first, writing)
            finally:
                os._exit(1)
        os.close(writing)
        # The wait begins with the first photograph, so that a slow start is no early kill.
        begun = os.read(reading, 4)
        time.sleep(float(generator.uniform(0, 0.08)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the child ended by itself"
        told = begun
        while part := os.read(reading, 1 << 16):
            told += part
        os.close(reading)
        numbers = np.frombuffer(told, "<u4").tolist()
        assert numbers == list(range(first, first + len(numbers)))
        safe += numbers
        first += len(numbers) + 1  # the one under way may be there or not
    with SqliteGallery(path, MAKER) as gallery:
        there = {int(person.name) for person in gallery.people()}
        assert set(safe) <= there
        assert len(there - set(safe)) <= KILLS
        known = sorted(there)
        found = gallery.search(np.stack([vector(number) for number in known]))
        assert [int(match.person) for (match,) in found] == known
        assert gallery.stats().crops == len(there)
    assert audit(path) == []


def enrol_with_crops(path: Path, first: int, told: int) -> None:
    SqliteGallery(path, MAKER, keep_crops=True).close()
    enrol_and_tell(path, first, told)


def enrol_many(path: Path, count: int) -> None:
    with SqliteGallery(path, MAKER) as gallery:
        for number in range(count):
            gallery.enrol(f"{number:06d}", [template(vector(number), f"{number}")])
            if number % 10 == 9:
                gallery.remove(f"{number - 5:06d}")


def test_a_reader_goes_on_while_another_process_writes(tmp_path: Path) -> None:
    """Who is there before and after a search is found by it; who was removed before it never is."""
    path = tmp_path / "g"
    SqliteGallery(path, MAKER).close()
    writer = multiprocessing.get_context("spawn").Process(target=enrol_many, args=(path, 60))
    writer.start()
    queries = np.stack([vector(number) for number in range(60)])
    ever: set[str] = set()
    searches = 0
    try:
        with SqliteGallery(path, MAKER) as gallery:
            while writer.is_alive():
                before = {person.name for person in gallery.people()}
                named = {match.person for (match,) in filter(None, gallery.search(queries))}
                after = {person.name for person in gallery.people()}
                assert named >= before & after
                assert not named & (ever - before)
                ever |= before | after
                searches += 1
    finally:
        writer.join(60)
    assert writer.exitcode == 0
    assert searches >= 3
    assert len(ever) >= 50
    with SqliteGallery(path, MAKER) as gallery:
        assert gallery.stats().people == 54


def enrol_one(path: Path, name: str) -> None:
    with SqliteGallery(path, MAKER) as gallery:
        for number in range(10):
            gallery.enrol(f"{name}{number}", [template(vector(number), f"{name}{number}")])


def test_several_writers_and_makers_wait_for_one_another(tmp_path: Path) -> None:
    """All of them find no gallery at first: one makes it."""
    path = tmp_path / "g"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=enrol_one, args=(path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    with SqliteGallery(path, MAKER) as gallery:
        assert gallery.stats().people == 30
    assert audit(path) == []
