"""How much one request may ask of the service."""

from dataclasses import dataclass

from pocketface.errors import RecipeError

MAX_FACES = 50
"""Faces of one photograph that are embedded, those of the highest score; the rest is counted."""

MAX_CANDIDATES = 20
"""People who are named for one face, at most."""


@dataclass(frozen=True)
class Bounds:
    """Limits of the service.

    `threads` requests are worked on at once, `waiting` more wait; the next is sent away with 503.
    `body_bytes` is the largest body, `pixels` the largest picture, `photos` the most photographs of
    one request. `seconds` is how long a body may take to come, and as long may the answer take.
    So memory is bounded: at most (threads + waiting) * body_bytes for bodies, and for each thread
    a picture's pixels a few times over.

    Raises RecipeError for numbers that allow nothing.
    """

    threads: int = 1
    waiting: int = 8
    body_bytes: int = 20_000_000
    pixels: int = 50_000_000
    photos: int = 20
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("--threads", self.threads, 1),
            ("--waiting", self.waiting, 0),
            ("--max-body-mb", self.body_bytes, 1),
            ("--max-pixels", self.pixels, 112 * 112),
            ("photographs of a request", self.photos, 1),
            ("--seconds", self.seconds, 0.05),
        ):
            if not least <= value:
                raise RecipeError(f"{name} must be at least {least:g}, got {value:g}. Give more.")
