"""Counts every answer, and puts on it what keeps browsers from doing more than they should."""

import time

from pocketface.service.gate import App, Message, Receive, Scope, Send
from pocketface.service.metrics import Metrics

PATHS = (
    *("/", "/page.css", "/page.js", "/icon.svg", "/openapi.json"),
    *("/about", "/verify", "/identify", "/enroll", "/people", "/health", "/metrics"),
)

HEADERS = {
    # The page may load and ask nothing but what comes from here; data: holds the aligned faces,
    # blob: the photographs that were chosen.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    # Answers are about people: no cache keeps them.
    "cache-control": "no-store",
}

_RAW = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Counting:
    """Wraps an application."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 499  # the client went away before an answer began

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_RAW]
            await send(message)

        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, counted)
        finally:
            self._metrics.in_flight -= 1
            seconds = time.perf_counter() - began
            self._metrics.add(scope["method"], route_of(scope["path"]), status, seconds)


def route_of(path: str) -> str:
    """The route that a path belongs to; 'other' for what is none."""
    if path in PATHS:
        return path
    return "/people/{name}" if path.startswith("/people/") else "other"
