"""The page's files, which lie beside this module: HTML, CSS, one JavaScript module, an icon."""

from importlib import resources

PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""By path: the file and its content type."""


def read_page_file(name: str) -> bytes:
    """The content of one of the page's files."""
    return resources.files("pocketface.service").joinpath("page", name).read_bytes()
