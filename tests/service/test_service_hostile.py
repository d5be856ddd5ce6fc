"""Bodies, pictures and names that nobody means well: never a 500, never a dead service."""

import contextlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from service_made import encoded, fault, made_engine, photo, pixels_of, running

from pocketface.service.bounds import Bounds
from pocketface.service.form import MAX_FIELD_BYTES, MAX_PARTS, file_name, parse_form
from pocketface.service.refusal import RefusedError

PIXELS = 200_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    bounds = Bounds(threads=2, waiting=4, body_bytes=2_000_000, pixels=PIXELS, photos=3)
    with running(made_engine(tmp_path_factory.mktemp("hostile"), bounds=bounds)) as found:
        yield found
        # After all of them it answers as before.
        files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(1, 1))}
        assert found.post("/verify", files=files).json()["verdict"] == "same person"
        assert 'status="500"' not in found.get("/metrics").text


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", photo(1))
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes do not hold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(encoded(pixels_of(1), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def animated() -> bytes:
    frames = [Image.fromarray(pixels_of(1, n)) for n in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'

REFUSED = {
    "nothing": (b"", "empty"),
    "truncated JPEG": (encoded(pixels_of(1), "JPEG")[:900], "cannot decode"),
    "head of a JPEG": (b"\xff\xd8\xff\xe0", "cannot decode"),
    "truncated PNG": (photo(1)[:2000], "cannot decode"),
    "ZIP": (zipped(), "not a JPEG"),
    "SVG": (SVG, "not a JPEG"),
    "text": (b"hello", "not a JPEG"),
    "HTML": (b"<script>alert(1)</script>", "not a JPEG"),
    "PDF": (b"%PDF-1.7\n" + bytes(100), "not a JPEG"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(100), "HEIC"),
    "bomb as PNG": (png_claiming(50_000, 50_000), "claims"),
    "bomb as JPEG": (jpeg_claiming(50_000, 50_000), "claims"),
    "just too many pixels": (encoded(np.zeros((401, 500, 3), np.uint8)), f"more than {PIXELS:,}"),
    "no width": (png_claiming(0, 10), "b'"),
    "1 x 1": (encoded(np.zeros((1, 1, 3), np.uint8)), "no face found"),
    "a strip": (encoded(np.zeros((1, 60_000, 3), np.uint8)), "no face found"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_photograph_is_refused_everywhere(client: httpx.Client, kind: str) -> None:
    data, words = REFUSED[kind]
    if kind == "no width":
        words = ""
    good = ("a.png", photo(1))
    fault(client.post("/verify", files={"first": good, "second": ("x", data)}), 422, words)
    enrolled = client.post("/enroll", data={"name": "Ann"}, files={"photos": ("x", data)})
    fault(enrolled, 422, words)
    found = client.post("/identify", files={"photo": ("x", data)})
    if words == "no face found":
        assert found.json()["faces"] == []
    else:
        fault(found, 422, words)
    assert client.get("/people").json()["total"] == 0


def test_a_face_without_any_direction_is_a_fault_of_the_photograph(client: httpx.Client) -> None:
    flat = np.full((150, 260, 3), 20, np.uint8)  # red 20: one face, of one colour
    data = encoded(flat)
    good = ("a.png", photo(1))
    files = {"first": good, "second": ("x", data)}
    fault(client.post("/verify", files=files), 422, "face 2: they have no direction")
    fault(client.post("/identify", files={"photo": ("x", data)}), 422, "no direction")
    enrolled = client.post("/enroll", data={"name": "Ann"}, files={"photos": ("x", data)})
    fault(enrolled, 422, "no direction")


def test_the_first_picture_of_an_animation_is_taken(client: httpx.Client) -> None:
    found = client.post("/identify", files={"photo": ("a.gif", animated(), "video/mp4")})
    assert len(found.raise_for_status().json()["faces"]) == 1


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_every_kind_of_picture_is_read_whatever_it_is_called(
    client: httpx.Client, kind: str
) -> None:
    data = encoded(pixels_of(1), kind)
    found = client.post("/identify", files={"photo": ("a.exe", data, "text/html")})
    assert found.raise_for_status().json()["width"] == 260


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b"", 415),
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "image/png"}, b"png", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"first=1&second=2", 415),
        ({"Content-Type": "multipart/form-data"}, b"", 400),
        ({"Content-Type": "multipart/form-data; boundary="}, b"", 400),
        ({"Content-Type": "multipart/form-data; boundary=" + "x" * 5000}, b"", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--y\r\n\r\n--y--\r\n", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\nabc\r\n--x--\r\n", 400),
        (
            {"Content-Type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="first"; filename="a"\r\n\r\nabc',
            400,
        ),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 422),
    ],
)
def test_a_body_that_is_no_form_is_refused(
    client: httpx.Client, headers: dict[str, str], content: bytes, status: int
) -> None:
    for path in ("/verify", "/identify", "/enroll"):
        fault(client.post(path, headers=headers, content=content), status, "form")


def test_fields_that_are_missing_or_of_the_wrong_kind_are_named(client: httpx.Client) -> None:
    good = ("a.png", photo(1))
    fault(client.post("/verify", files={"first": good}), 422, "'second' must be a file")
    fault(client.post("/verify", files={"first": good, "second": (None, "text")}), 422, "'second'")
    two = [("first", good), ("first", good), ("second", good)]
    fault(client.post("/verify", files=two), 422, "'first' has 2 files")
    fault(client.post("/enroll", files={"photos": good}), 422, "'name' must be a text field")
    fault(client.post("/enroll", files={"name": good, "photos": good}), 422, "'name' must be")
    for value in ("perhaps", "1", ""):
        data = {"name": "Ann", "largest": value}
        fault(client.post("/enroll", data=data, files={"photos": good}), 422, "true or false")
    many = [("photos", good)] * 4
    fault(client.post("/enroll", data={"name": "Ann"}, files=many), 422, "At most 3")
    parts = [("photos", ("a", b"few bytes"))] * MAX_PARTS  # and the name
    fault(client.post("/enroll", data={"name": "Ann"}, files=parts), 400, f"{MAX_PARTS} parts")
    long = {"name": "a" * (MAX_FIELD_BYTES + 1)}
    fault(client.post("/enroll", data=long, files={"photos": good}), 400, "4,097 bytes")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a\nb",
        "a\x00b",
        "\x1b[31m",
        "x" * 201,
        "\u202egnp.exe",
        ".",
        "..",
        "\u200b",
        "\ud800",
    ],
)
def test_names_that_no_gallery_holds_are_refused(client: httpx.Client, name: str) -> None:
    body = name.encode("utf-8", "surrogatepass")
    content = b"".join(
        [
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + body + b"\r\n",
            b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n',
            photo(1) + b"\r\n--x--\r\n",
        ]
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/enroll", headers=headers, content=content)
    fault(answer, 400 if name == "\ud800" else 422, "")
    assert client.get("/people").json()["total"] == 0


@pytest.mark.parametrize(
    "path",
    [
        *("/people/", "/people/%00", "/people/%ff%fe", "/people/..%2f..%2fetc%2fpasswd"),
        *("/people/" + "x" * 3000, "/people/%0d%0aSet-Cookie:%20a=b", "/people/%2e%2e"),
    ],
)
def test_paths_lead_nowhere(client: httpx.Client, path: str) -> None:
    answer = client.delete(path)
    assert answer.status_code in (404, 405, 422)
    assert set(answer.json()) == {"error", "allowed", "mend"}
    assert "set-cookie" not in answer.headers
    assert client.get("/../../etc/passwd").status_code == 404
    assert client.get("/page/../server.py").status_code == 404


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("a\nb.jpg", "a\ufffdb.jpg"),
        ("", "photograph"),
        ("/", "photograph"),
        ("x" * 500, "x" * 120),
        ("张伟.jpg", "张伟.jpg"),
    ],
)
def test_a_files_name_is_made_fit_to_be_shown(sent: str, shown: str) -> None:
    assert file_name(sent) == shown


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n'), max_size=20)


@settings(max_examples=150, deadline=None)
@given(
    fields=st.dictionaries(PLAIN.filter(str.isprintable), PLAIN, max_size=4),
    files=st.lists(st.binary(max_size=300), max_size=4),
)
def test_a_form_is_read_back_as_it_was_written(fields: dict[str, str], files: list[bytes]) -> None:
    # A boundary that no content can hold, since it is longer than any.
    boundary = b"b" * 60
    body = b""
    for name, value in fields.items():
        head = b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
        body += head % (boundary, name.encode()) + value.encode() + b"\r\n"
    for data in files:
        head = b'--%s\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\n'
        body += head % boundary + data + b"\r\n"
    body += b"--%s--\r\n" % boundary
    form = parse_form(f"multipart/form-data; boundary={boundary.decode()}", body)
    assert form.fields == fields
    assert [upload.data for upload in form.files.get("f", [])] == files


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=400), at=st.integers(0, 400))
def test_any_bytes_are_a_form_or_refused(body: bytes, at: int) -> None:
    good = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nabc\r\n--x--\r\n'
    for content in (body, good[:at] + body, good[:at] + body + good[at:]):
        with contextlib.suppress(RefusedError):
            parse_form("multipart/form-data; boundary=x", content)
