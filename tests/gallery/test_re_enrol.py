"""A gallery brought over to another network: stopped, raced, and watched meanwhile."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gallery_made import MAKER, SIZE, filled, template

from pocketface.data.jpeg import encode_png
from pocketface.embedding import Embedder, load_embedder
from pocketface.errors import GalleryError
from pocketface.gallery import Maker, SqliteGallery
from pocketface.gallery import re_enrol as module
from pocketface.gallery.audit import audit
from pocketface.gallery.re_enrol import re_enrol
from pocketface.preprocessing import Preprocessing

COUNT = 70
"""More than two batches of `re_enrol`."""


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return encode_png(np.kron(pixels, np.ones((8, 8, 1), np.uint8)))


@pytest.fixture
def embedder(tmp_path: Path, tiny_onnx: Callable[..., Path]) -> Embedder:
    return load_embedder(tiny_onnx(tmp_path / "new.onnx"), Preprocessing(image_size=32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    vectors = np.random.default_rng(0).standard_normal((COUNT, SIZE))
    with SqliteGallery(tmp_path / "g", MAKER, keep_crops=True) as gallery:
        for number, vector in enumerate(vectors):
            name = f"{number:02d}"
            gallery.enrol(name, [template(vector, name, picture(number))])
        gallery.search(vectors[:1])
    return tmp_path / "g"


def names_itself(path: Path, embedder: Embedder, count: int) -> bool:
    faces = np.stack([np.kron(_pixels(n), np.ones((8, 8, 1), np.uint8)) for n in range(count)])
    with SqliteGallery(path, Maker.of(embedder, "new.onnx", flip=False)) as gallery:
        found = gallery.search(embedder.embed(faces))
    return [match.person for (match,) in found] == [f"{n:02d}" for n in range(count)]


def _pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)


class StopError(Exception):
    """What stops a run in these tests."""


def test_a_stopped_run_changes_nothing_and_goes_on(path: Path, embedder: Embedder) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise StopError

    with pytest.raises(StopError):
        re_enrol(path, embedder, "new.onnx", flip=False, progress=stop)
    with SqliteGallery(path, MAKER) as gallery:
        (matches,) = gallery.search(np.random.default_rng(0).standard_normal((1, SIZE)))
        assert matches[0].person == "00"
    assert audit(path) == []
    told: list[int] = []
    count = re_enrol(
        path, embedder, "new.onnx", flip=False, progress=lambda done, total: told.append(done)
    )
    assert count == COUNT
    assert told[0] == 32  # what the stopped run had done
    assert names_itself(path, embedder, COUNT)
    assert audit(path) == []


def test_another_flip_does_not_go_on_with_what_was_begun(path: Path, embedder: Embedder) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise StopError

    with pytest.raises(StopError):
        re_enrol(path, embedder, "new.onnx", flip=True, progress=stop)
    told: list[int] = []
    re_enrol(path, embedder, "new.onnx", flip=False, progress=lambda done, _: told.append(done))
    assert told[0] == 0
    assert names_itself(path, embedder, COUNT)


def test_who_is_enrolled_at_the_last_moment_is_not_forgotten(
    path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last embedding and the exchange, which must wait for one round more."""
    exchange = module._swap
    rounds: list[bool] = []

    def interfere(*arguments: object) -> bool:
        if not rounds:
            vector = np.random.default_rng(1).standard_normal(SIZE)
            with SqliteGallery(path, MAKER) as gallery:
                gallery.enrol(f"{COUNT}", [template(vector, f"{COUNT}", picture(COUNT))])
        rounds.append(exchange(*arguments))  # type: ignore[arg-type]
        return rounds[-1]

    monkeypatch.setattr(module, "_swap", interfere)
    assert re_enrol(path, embedder, "new.onnx", flip=False) == COUNT + 1
    assert rounds == [False, True]
    assert names_itself(path, embedder, COUNT + 1)


def test_an_open_gallery_tells_that_it_was_brought_over(path: Path, embedder: Embedder) -> None:
    queries = np.random.default_rng(0).standard_normal((1, SIZE))
    with SqliteGallery(path, MAKER) as bound, SqliteGallery(path) as also:
        bound.search(queries)
        re_enrol(path, embedder, "new.onnx", flip=False)
        for gallery in (bound, also):
            with pytest.raises(GalleryError, match=r"made with new\.onnx.*not with small\.onnx"):
                gallery.search(queries)
            with pytest.raises(GalleryError, match=r"new\.onnx.*small\.onnx"):
                gallery.enrol("x", [template(queries[0])])


def test_one_object_serves_several_threads(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, SIZE))
    wrong: list[object] = []
    with filled(tmp_path / "g", vectors[:100], [f"{i}" for i in range(100)]) as gallery:

        def ask(seed: int) -> None:
            try:
                for row in np.random.default_rng(seed).integers(0, 100, 25).tolist():
                    (matches,) = gallery.search(vectors[row][None])
                    if matches[0].person != f"{row}":
                        wrong.append((row, matches))
            except Exception as error:  # a thread's error would be lost
                wrong.append(error)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for row in range(100, 130):
            gallery.enrol(f"{row}", [template(vectors[row], f"{row}")])
        for thread in threads:
            thread.join()
        assert wrong == []
        assert gallery.stats().people == 130
