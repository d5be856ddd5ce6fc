"""The service on a socket, until it is told to end."""

import socket

import uvicorn

from pocketface.service.gate import App

_KEEP_ALIVE = 15
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
    )
    return uvicorn.Server(config)


def serve(app: App, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; what is under way is finished first."""
    try:
        make_server(app).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn passes it on after it has ended
        pass
    finally:
        listener.close()
