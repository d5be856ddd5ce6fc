"""Who may ask, and how much: host, origin, token, places, size and time of a body.

All of it is settled before a byte is parsed. Without a token the service listens on loopback only;
then any page in a browser on the machine could still reach it, in two ways. A page may send it a
form (cross-site request forgery): its `Origin` gives it away. A page may have its own name resolve
to 127.0.0.1 (DNS rebinding): the `Host` gives it away, and it is checked for reading too, since
names of people are read. A page cannot send a token that it does not know: with a token neither
is needed, and a proxy may call the service by any name.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from pocketface.service.bounds import Bounds
from pocketface.service.form import shown_name
from pocketface.service.refusal import RefusedError
from pocketface.service.workers import Workers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

PUBLIC = ("/", "/page.css", "/page.js", "/icon.svg", "/health", "/openapi.json")
"""Paths that tell nothing of people, and are served without a token and without a place."""

_READING = ("GET", "HEAD", "OPTIONS")
_DRAIN = 8
"""A body that is too large is read on to so many times the limit, since a browser that is cut off
while it sends never sees the answer."""


class Gate:
    """Wraps an application; `token` None means that none is needed."""

    def __init__(self, app: App, workers: Workers, bounds: Bounds, token: str | None) -> None:
        self._app = app
        self._workers = workers
        self._bounds = bounds
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))
        try:
            if self._token is None:
                _check_host(headers)
                _check_origin(scope["method"], headers)
            elif scope["path"] not in PUBLIC:
                self._check_token(headers)
            if scope["path"] in (*PUBLIC, "/metrics"):
                await self._app(scope, receive, send)
                return
            with self._workers.admit():
                if scope["method"] in _READING:
                    await self._app(scope, receive, send)
                    return
                body = await self._read(headers, receive)
                if body is not None:
                    await self._app(scope, _replay(body, receive), send)
        except RefusedError as refusal:
            await answer_of(refusal)(scope, receive, send)

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        # Compared even where the kind is wrong, and in constant time: the time tells nothing.
        right = hmac.compare_digest(given.strip(), self._token or b"")
        if not (right and kind.lower() == b"bearer"):
            raise RefusedError(
                401,
                "The request has no token, or not the right one.",
                "The token that the service was started with.",
                "Send it in the header: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None if the client went away. Raises RefusedError (408, 413)."""
        most = self._bounds.body_bytes
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._bounds.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size <= most:
                        pieces.append(piece)
                    else:
                        pieces.clear()
                    if not message.get("more_body", False) or size > _DRAIN * most:
                        break
        except TimeoutError:
            raise RefusedError(
                408,
                f"The body was not there after {self._bounds.seconds:g} s.",
                f"At most {self._bounds.seconds:g} s.",
                "Send a smaller photograph, or over a faster line.",
                {"Connection": "close"},
            ) from None
        if size > most:
            raise RefusedError(
                413,
                f"The body has more than {most:,} bytes.",
                f"At most {most:,} bytes.",
                "Make the photograph smaller, or start the service with a larger --max-body-mb.",
                {"Connection": "close"},
            )
        return b"".join(pieces)


def answer_of(refusal: RefusedError) -> JSONResponse:
    """A refusal as an answer."""
    return JSONResponse(
        refusal.fault.model_dump(), status_code=refusal.status, headers=refusal.headers
    )


def _check_host(headers: dict[bytes, bytes]) -> None:
    host = headers.get(b"host", b"").decode("latin-1")
    if _without_port(host) not in LOCAL_HOSTS:
        raise RefusedError(
            403,
            f"The request is for the host {shown_name(host, 80)!r}.",
            f"One of {', '.join(LOCAL_HOSTS)}, since the service is this machine's alone.",
            "Open it by one of these, or start it with --token to call it by another name.",
        )


def _check_origin(method: str, headers: dict[bytes, bytes]) -> None:
    if method in _READING:
        return
    origin = headers.get(b"origin")
    host = headers.get(b"host", b"")
    foreign = origin is not None and origin.partition(b"://")[2] != host
    if foreign or headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
        shown = shown_name((origin or b"another site").decode("latin-1"), 80)
        raise RefusedError(
            403,
            f"The request comes from a page of {shown!r}.",
            "The service's own page, or a program that is no browser.",
            "Open the service's own address.",
        )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives `body` first, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
