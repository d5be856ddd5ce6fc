"""The service on a socket, until it is told to end."""

import signal
import socket

import uvicorn

from pocketface.service.gate import App

_KEEP_ALIVE = 15
_CONNECTIONS = 512
"""Open connections; what a connection that says nothing holds is little, but not nothing."""
_GRACE = 10
"""Seconds that requests under way get when the service ends."""


def make_server(app: App) -> uvicorn.Server:
    """A server of `app`: no access log (paths hold people's names), no word of what serves."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
        backlog=128,
        limit_concurrency=_CONNECTIONS,
    )
    return uvicorn.Server(config)


def serve(app: App, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM, what is under way first; called in the main thread."""
    # uvicorn ends in good order and then passes the signal on; here that is the end, not a death.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make_server(app).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()
