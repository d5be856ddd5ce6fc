"""The browser example: onnxruntime-web beside the page, as its README says, run by Chromium."""

import functools
import http.server
import itertools
import json
import queue
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SOURCE = Path(__file__).parents[2] / "examples" / "browser"

TELL = """
const root = document.documentElement;
const tell = () => fetch("told", { method: "POST", body: JSON.stringify(
  { ...root.dataset, answer: document.querySelector("#answer").textContent,
    asked: location.search }) });
new MutationObserver(tell).observe(root, { attributes: true });
"""
"""What the test adds to the page: it says what the page found to the server that it came from."""


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what pages tell."""

    def __init__(self, *words, told: queue.Queue, **options) -> None:
        self.told = told
        super().__init__(*words, **options)

    def do_POST(self) -> None:
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def page(example_folder, tmp_path_factory) -> Path:
    """The example, made as its README says, with a network and pictures beside it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed (Debian: apt-get install npm)")
    folder = tmp_path_factory.mktemp("page") / "browser"
    ignored = shutil.ignore_patterns("node_modules", "ort", "package-lock.json", "model.*")
    shutil.copytree(SOURCE, folder, ignore=ignored)
    made = subprocess.run(
        ["npm", "install", "--no-fund", "--no-audit"], cwd=folder, capture_output=True, text=True
    )
    if made.returncode and ("ENOTFOUND" in made.stderr or "EAI_AGAIN" in made.stderr):
        pytest.skip("the registry of npm cannot be reached for onnxruntime-web")
    assert made.returncode == 0, made.stderr
    for name in ("model.onnx", "model.json", "a.png", "b.png"):
        shutil.copy(example_folder / name, folder)
    script = '<script type="module" src="tell.mjs"></script></body>'
    index = folder / "index.html"
    index.write_text(index.read_text().replace("</body>", script))
    (folder / "tell.mjs").write_text(TELL)
    return folder


@pytest.fixture(scope="module")
def ask(page, tmp_path_factory) -> Iterator[Callable[..., dict[str, str]]]:
    """Open the page with these pictures; give what it found."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    told: queue.Queue = queue.Queue()
    handler = functools.partial(Server, directory=str(page), told=told)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"),
        # Nobody else is found: the page must live on what lies beside it.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]

    number = itertools.count()

    def give(**query: str) -> dict[str, str]:
        # A page may tell more than once: what an earlier one told late is not this one's answer.
        asked = "?" + urllib.parse.urlencode({**query, "number": next(number)})
        address = f"http://127.0.0.1:{server.server_port}/{asked}"
        browser = subprocess.Popen(
            [*command, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while (answer := told.get(timeout=120))["asked"] != asked:
                pass
            return answer
        finally:
            browser.terminate()
            browser.wait(30)

    yield give
    server.shutdown()
    server.server_close()


def test_the_page_finds_what_python_finds(ask, similarity) -> None:
    told = ask(first="a.png", second="b.png")
    assert "error" not in told
    assert float(told["similarity"]) == pytest.approx(similarity, abs=2e-5)
    first, second = told["answer"].splitlines()
    assert first == f"Similarity {float(told['similarity']):.4f}"
    verdict = "same person" if similarity >= 0.25 else "different people"
    assert second == f"At FAR 0.001 (pairs, threshold 0.2500): {verdict}"


def test_a_picture_of_another_size_is_told_to_be_scaled(ask, page, similarity) -> None:
    with Image.open(page / "a.png") as face:
        face.resize((160, 160), Image.Resampling.BICUBIC).save(page / "large.png")
    told = ask(first="large.png", second="b.png")
    assert float(told["similarity"]) == pytest.approx(similarity, abs=0.1)
    assert "scaled a face" in told["answer"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Image.new("RGB", (112, 113)).save(path), "this is 112 x 113"),
        (lambda path: path.write_text("hello"), "source image could not be decoded"),
        (lambda path: None, "404"),
    ],
)
def test_mistakes_are_told_on_the_page(ask, page, make, message) -> None:
    wrong = page / "wrong.png"
    wrong.unlink(missing_ok=True)
    make(wrong)
    told = ask(first="wrong.png", second="b.png")
    assert message in told["error"]
    assert told["answer"].startswith("Error: ")


def test_a_network_of_another_kind_is_told(ask, page, example_folder) -> None:
    import numpy as np

    from pocketface.deploy import ExportOptions, export_network

    export_network(
        example_folder / "network.safetensors",
        page / "model.onnx",
        generator=np.random.default_rng(0),
        options=ExportOptions(output="unit"),
        overwrite=True,
    )
    try:
        told = ask(first="a.png", second="b.png")
    finally:
        for name in ("model.onnx", "model.json"):
            shutil.copy(example_folder / name, page)
    assert "does not take pixels" in told["error"]
