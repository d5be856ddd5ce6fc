"""Where the service listens, and that nobody but this machine reaches it without a token."""

import ipaddress
import socket

from pocketface.errors import RecipeError

SHORTEST_TOKEN = 16
"""Characters; shorter ones can be guessed by trying."""


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """A socket that listens at `host` and `port`; port 0 takes any free one.

    Raises RecipeError for a host that is not this machine's, a port that is taken or not allowed,
    a token that is too short or holds what a header cannot, and a host beyond loopback without
    a token. What counts is the address that the name leads to, not the name.
    """
    if token is not None and (
        len(token) < SHORTEST_TOKEN
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise RecipeError(
            f"the token has {len(token)} characters; it needs at least {SHORTEST_TOKEN}, of ASCII, "
            f"without spaces. {_make_one()}"
        )
    if not 0 <= port <= 65535:
        raise RecipeError(f"--port must be 0 to 65535, got {port}. The usual one is 8008.")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise RecipeError(
            f"--host {host!r} is no address of this machine ({error}). Use 127.0.0.1, or one that "
            "the machine has."
        ) from error
    if token is None and not is_loopback(str(address[0])):
        raise RecipeError(
            f"--host {host} can be reached from other machines: a token is required. Give --token "
            f"or set POCKETFACE_TOKEN. {_make_one()} Or leave --host out."
        )
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise RecipeError(
            f"cannot listen at {host} port {port}: {error.strerror}. Choose another --port, or end "
            "what listens there."
        ) from error
    return listener


def is_loopback(address: str) -> bool:
    """Whether an IP address leads back to this machine."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser of this machine."""
    host, port = listener.getsockname()[:2]
    ip = ipaddress.ip_address(host.partition("%")[0])
    if ip.is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _make_one() -> str:
    return 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
