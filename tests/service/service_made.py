"""A service whose detector and network need no files, running on a port of its own."""

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from pocketface.data.alignment import TEMPLATE
from pocketface.detect.detector import Face
from pocketface.detect.quality import Limits
from pocketface.detect.recognise import Recogniser
from pocketface.embedding.pixels import PixelEmbedder
from pocketface.gallery import Maker, SqliteGallery
from pocketface.service.address import address_of, listen
from pocketface.service.answers import Limit
from pocketface.service.app import create_app
from pocketface.service.bounds import Bounds
from pocketface.service.decision import Decision
from pocketface.service.engine import Engine
from pocketface.service.server import make_server

WIDTH, HEIGHT = 260, 150
FAR = 0.01
LIMIT = Limit(similarity=0.5, far=FAR, tar=0.9, measured_on="made", impostor_pairs=100)


class MarkedDetector:
    """Finds as many faces as the first pixel's red says, side by side, the second half as large."""

    fingerprint = "marked"

    def __init__(self, wait: Callable[[], object] | None = None) -> None:
        self._wait = wait

    def detect(self, image):
        if self._wait is not None:
            self._wait()
        faces = []
        for number in range(round(int(image[0, 0, 0]) / 20)):
            scale = 0.5**number
            left = 10 + 130.0 * number
            points = TEMPLATE * scale + np.array([left, 10])
            box = (left, 10.0, left + 112 * scale, 10 + 112 * scale)
            faces.append(Face(box, 0.9 - 0.1 * number, points))
        return faces


def pixels_of(person: int, photo: int = 0, faces: int = 1, noise: float = 8.0) -> np.ndarray:
    """A photograph of a person, a coarse pattern; photographs of one differ by noise."""
    pattern = np.random.default_rng(person).uniform(20, 235, (12, 20, 3))
    image = np.kron(pattern, np.ones((13, 13, 1)))[:HEIGHT, :WIDTH]
    image = image + noise * np.random.default_rng(1000 * person + photo).standard_normal(
        image.shape
    )
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    pixels[:4, :4] = faces * 20
    return pixels


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def photo(person: int, photo: int = 0, faces: int = 1) -> bytes:
    return encoded(pixels_of(person, photo, faces))


def made_engine(
    folder: Path,
    *,
    gallery: bool = True,
    bounds: Bounds | None = None,
    limits: Limits | None = None,
    limit: Limit | None = LIMIT,
    wait: Callable[[], object] | None = None,
    keep_crops: bool = False,
) -> Engine:
    bounds = bounds or Bounds(threads=2, waiting=4)
    embedder = PixelEmbedder()
    maker = Maker.of(embedder, "pixels", flip=False)
    return Engine(
        [
            Recogniser(embedder, lambda: MarkedDetector(wait), flip=False, limits=limits)
            for _ in range(bounds.threads)
        ],
        Decision(limit, False, None, ()),
        bounds,
        model="pixels",
        gallery=SqliteGallery(folder / "g", maker, keep_crops=keep_crops) if gallery else None,
    )


@contextlib.contextmanager
def running(engine: Engine, token: str | None = None) -> Iterator[httpx.Client]:
    """Serve `engine` in a thread; gives a client of its address."""
    listener = listen("127.0.0.1", 0, token)
    server = make_server(create_app(engine, token))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        for _ in range(1000):
            if server.started:
                break
            time.sleep(0.01)
        with httpx.Client(base_url=address_of(listener), timeout=60, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive()


def fault(answer: httpx.Response, status: int, words: str) -> dict[str, str]:
    """The answer's body, which must be a fault of this status that says these words."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "allowed", "mend"}
    assert all(body.values())
    assert words in " ".join(body.values()), body
    return body
