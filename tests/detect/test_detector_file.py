"""Which detector file is used, and fetching one from a server on this machine."""

import hashlib
import http.server
import os
import pty
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.detect import detector_file
from pocketface.detect import fetch as fetching
from pocketface.detect.detector_file import fetched_file, find_detector
from pocketface.detect.fetch import fetch
from pocketface.detect.published import YUNET, PublishedFile
from pocketface.errors import DataError, RecipeError

CONTENT = bytes(range(256)) * 900
SHA = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/good the file, /moved a redirect to it, /cut fewer bytes than promised, /stuck no answer."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
        elif self.path in ("/good", "/cut"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: None if self.path == "/good" else 1000])
        elif self.path == "/stuck":
            self.server.release.wait(20)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT * 2)
        else:
            self.send_error(404)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    handler = type("Counting", (Handler,), {"asked": []})
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.release = threading.Event()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    made.root = f"http://127.0.0.1:{made.server_port}"
    made.asked = handler.asked
    yield made
    made.release.set()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("POCKETFACE_DETECTOR", raising=False)


def source(server, page="good", **changes):
    made = PublishedFile("d.onnx", f"{server.root}/{page}", len(CONTENT), SHA, "none")
    return replace(made, **changes)


def test_the_option_comes_before_the_variable_before_the_cache(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="pocketface detector fetch"):
        find_detector(None)
    fetched_file().parent.mkdir(parents=True)
    for path in (fetched_file(), tmp_path / "variable.onnx", tmp_path / "option.onnx"):
        path.touch()
    assert find_detector(None) == fetched_file() == tmp_path / "cache/pocketface" / YUNET.file
    monkeypatch.setenv("POCKETFACE_DETECTOR", str(tmp_path / "variable.onnx"))
    assert find_detector(None) == tmp_path / "variable.onnx"
    assert find_detector(tmp_path / "option.onnx") == tmp_path / "option.onnx"
    with pytest.raises(RecipeError, match=r"absent\.onnx, which --detector names, is not a file"):
        find_detector(tmp_path / "absent.onnx")
    monkeypatch.setenv("POCKETFACE_DETECTOR", str(tmp_path / "gone.onnx"))
    with pytest.raises(RecipeError, match=r"gone\.onnx, which POCKETFACE_DETECTOR names"):
        find_detector(None)


def test_a_relative_cache_variable_is_passed_over(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert fetched_file().is_absolute()


@pytest.mark.parametrize("page", ["good", "moved"])
def test_the_right_bytes_arrive(server, tmp_path, page):
    target = tmp_path / "new" / "d.onnx"
    fetch(source(server, page, sha256=SHA.upper()), target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["d.onnx"]


@pytest.mark.parametrize(
    ("page", "changes", "message"),
    [
        ("good", {"sha256": "0" * 64}, f"with the sha256 {SHA}, where 000"),
        ("cut", {}, r"cannot be downloaded|with the sha256"),
        ("absent", {}, "cannot be downloaded: 404"),
        ("endless", {}, r"more than 230,400 bytes"),
        ("good", {"bytes": 1000}, "more than 1,000 bytes"),
        ("stuck", {}, "cannot be downloaded: .*timed out"),
    ],
)
def test_anything_else_leaves_nothing(server, tmp_path, page, changes, message):
    target = tmp_path / "d.onnx"
    with pytest.raises(DataError, match=message):
        fetch(source(server, page, **changes), target, timeout=0.3)
    assert not list(tmp_path.iterdir())
    target.write_bytes(b"an older one")
    with pytest.raises(DataError, match=message):
        fetch(source(server, page, **changes), target, timeout=0.3)
    assert target.read_bytes() == b"an older one"


def test_no_server_and_no_place(tmp_path, server):
    with pytest.raises(DataError, match=r"cannot be downloaded: .*refused"):
        fetch(PublishedFile("d", "http://127.0.0.1:9/x", 5, SHA, ""), tmp_path / "d")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        fetch(source(server), tmp_path / "file" / "d.onnx")


@pytest.mark.parametrize(
    "address", ["ftp://a/b", "file:///etc/passwd", "/etc/passwd", "https://", "https:// /x"]
)
def test_addresses_that_are_none(tmp_path, address):
    with pytest.raises(RecipeError, match="must begin with https://"):
        fetch(PublishedFile("d", address, 5, SHA, ""), tmp_path / "d")


def run(*arguments):
    return CliRunner().invoke(app, ["detector", *arguments])


def test_the_command_asks_for_a_sha256_and_never_downloads_unasked(server, tmp_path):
    done = run("fetch", "--from", f"{server.root}/good", "--yes")
    assert isinstance(done.exception, RecipeError)
    assert "--sha256" in str(done.exception)
    for wrong in ("12", "z" * 64):
        done = run("fetch", "--from", f"{server.root}/good", "--sha256", wrong, "--yes")
        assert "64 hexadecimal digits" in str(done.exception)
    assert isinstance(run("fetch", "--sha256", SHA, "--yes").exception, RecipeError)
    done = run("fetch", "--from", f"{server.root}/good", "--sha256", SHA)
    assert "Add --yes" in str(done.exception)
    assert server.asked == []
    done = run("fetch", "--from", f"{server.root}/good", "--sha256", SHA, "--yes")
    assert done.exit_code == 0, done.output
    assert fetched_file().read_bytes() == CONTENT
    done = run("fetch", "--from", f"{server.root}/good", "--sha256", SHA)
    assert "there already" in done.output
    assert server.asked == ["/good"]
    assert run("which").output.strip() == str(fetched_file())
    done = run(
        "fetch", "--from", f"{server.root}/good", "--sha256", SHA, "--out", str(tmp_path), "-y"
    )
    assert f"--detector {tmp_path}" in done.output
    assert (tmp_path / YUNET.file).read_bytes() == CONTENT


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_at_a_terminal_it_asks(server, tmp_path, answer, code):
    """A real terminal: the sizes and the address are shown before the question."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "pocketface", "detector", "fetch", "--sha256", SHA]
    command += ["--from", f"{server.root}/good"]
    process = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, env=os.environ)
    os.write(master, answer.encode())
    shown = process.communicate(timeout=120)[0].decode()
    os.close(master)
    os.close(slave)
    assert process.returncode == code, shown
    assert shown.index(SHA) < shown.index("Download it?")
    assert fetched_file().exists() == (code == 0)
    assert bool(server.asked) == (code == 0)


def test_the_published_file_is_the_one_that_was_tested(real_data):
    path = real_data / "weights" / YUNET.file
    assert path.stat().st_size == YUNET.bytes
    assert fetching.is_intact(path, YUNET)
    assert not fetching.is_intact(real_data / "weights" / "yunet_n_dynamic.onnx", YUNET)
    assert not fetching.is_intact(real_data / "absent", YUNET)
    fetching.check_source(YUNET)
    assert detector_file.fetched_file().name == YUNET.file
