"""A multipart body to fields and files, in memory: no part of a photograph touches the disk.

The usual parsers put files above a megabyte into temporary files. Here the whole body has been read
already, and its size is bounded, so parts are simply cut out of it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pocketface.service.refusal import RefusedError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 64
"""Parts of a body; a photograph or a field each."""

MAX_FIELD_BYTES = 4096
"""Of a field that is no file."""

LONGEST_FILE_NAME = 120


class Upload(NamedTuple):
    """A photograph as it came: its file's `name`, fit to be shown, and its bytes."""

    name: str
    data: bytes


@dataclass
class Form:
    """Fields by name, and files by name in the order of sending."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[Upload]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field that must be there. Raises RefusedError (422)."""
        if name not in self.fields:
            raise _missing(name, "a text field", self)
        return self.fields[name]

    def flag(self, name: str) -> bool:
        """A field that is true or false; false if it is not there. Raises RefusedError (422)."""
        value = self.fields.get(name, "false")
        if value not in ("true", "false"):
            shown = shown_name(value, 40)
            raise RefusedError(
                422, f"The field {name!r} is {shown!r}.", "true or false.", "Send one of these."
            )
        return value == "true"

    def uploads(self, name: str, most: int) -> list[Upload]:
        """The photographs of a field, 1 to `most`. Raises RefusedError (422)."""
        found = self.files.get(name, [])
        if not found:
            raise _missing(name, "a file (with a filename in its Content-Disposition)", self)
        if len(found) > most:
            raise RefusedError(
                422,
                f"The field {name!r} has {len(found)} files.",
                f"At most {most}.",
                "Send fewer, in several requests.",
            )
        return found


def parse_form(content_type: str, body: bytes) -> Form:
    """The parts of a body.

    Raises RefusedError: 415 for another content type, 400 for a body that is no multipart, cut
    short or of too many parts.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data":
        raise RefusedError(
            415,
            f"The content type is {shown_name(content_type, 80)!r}.",
            "multipart/form-data.",
            "Send photographs as a form does, for example with: curl --form FIELD=@FILE",
        )
    if not boundary:
        raise _malformed("the content type names no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise _malformed(str(error)) from error
    if not parts.ended:
        raise _malformed("the last boundary is missing")
    return parts.form


class _Parts:
    """What the parser calls, part by part."""

    def __init__(self) -> None:
        self.form = Form()
        self.ended = False
        self._count = 0
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._pieces: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise _malformed(f"more than {MAX_PARTS} parts")
        self._disposition = b""
        self._pieces = []

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        if b"name" not in options:
            raise _malformed("a part has no name in its Content-Disposition")
        name = shown_name(options[b"name"].decode("utf-8", "replace"), 60)
        content = b"".join(self._pieces)
        if b"filename" in options:
            shown = file_name(options[b"filename"].decode("utf-8", "replace"))
            self.form.files.setdefault(name, []).append(Upload(shown, content))
            return
        if len(content) > MAX_FIELD_BYTES:
            raise _malformed(f"the field {name!r} has {len(content):,} bytes")
        try:
            self.form.fields[name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _malformed(f"the field {name!r} is no UTF-8 text") from error

    def _finish(self) -> None:
        self.ended = True


def file_name(text: str) -> str:
    """The last part of a path that a client named, fit to be shown and kept; it opens nothing."""
    return shown_name(text.replace("\\", "/").rpartition("/")[2], LONGEST_FILE_NAME) or "photograph"


def shown_name(text: str, longest: int) -> str:
    """`text` cut to `longest` characters, with a mark for what cannot be printed."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:longest])


def _malformed(why: str) -> RefusedError:
    return RefusedError(
        400,
        f"The body is not a form of photographs: {why}.",
        f"multipart/form-data of at most {MAX_PARTS} parts; a text field of at most "
        f"{MAX_FIELD_BYTES:,} bytes of UTF-8.",
        "Send it with a library that writes multipart forms.",
    )


def _missing(name: str, what: str, form: Form) -> RefusedError:
    sent = [*form.fields, *form.files]
    found = ", ".join(repr(each) for each in sent[:8]) or "nothing"
    allowed = f"The field {name!r} must be {what}."
    return RefusedError(422, f"The form holds {found}.", allowed, "Add it to the form.")
