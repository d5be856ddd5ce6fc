"""The page in a real browser, with the real network and detector, by real clicks."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from devtools import Page, browser
from PIL import Image

from pocketface.card import ModelCard, Threshold, sha256_of, write_card
from pocketface.preprocessing import Preprocessing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 0.3245  # at FAR 1e-3 on the 6,000 pairs of LFW, docs/results.md


@pytest.fixture(scope="module")
def weights(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The known MobileFaceNet with a card that holds LFW's thresholds."""
    path = tmp_path_factory.mktemp("weights") / "mobilefacenet.onnx"
    path.write_bytes((real_data / "weights" / "mobilefacenet_foamliu.onnx").read_bytes())
    thresholds = [
        Threshold(
            benchmark="LFW",
            far=far,
            measured_far=far,
            tar=tar,
            similarity=similarity,
            impostor_pairs=3000,
            flip=True,
        )
        for far, tar, similarity in ((1e-2, 0.995, 0.2385), (1e-3, 0.98667, LIMIT))
    ]
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    card = ModelCard(
        architecture="foreign",
        embedding_size=128,
        preprocessing=Preprocessing(mean=mean, std=std),
        sha256=sha256_of(path),
        thresholds=thresholds,
    )
    write_card(path, card)
    return path


def start(weights: Path, data: Path, folder: Path, *more: str) -> tuple[subprocess.Popen, str]:
    """The command as a person starts it; gives its process and its address."""
    detector = data / "weights" / "yunet_n_dynamic.onnx"
    command = [
        *(sys.executable, "-m", "pocketface", "serve", "--model", str(weights), "--port", "0"),
        *("--detector", str(detector), "--threads", "1", *more),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert " at http://" in first, first
    return process, first.rsplit(" at ", 1)[1].strip()


@pytest.fixture(scope="module")
def address(
    weights: Path, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("serve")
    process, found = start(weights, real_data, folder, "--gallery", "people.gallery")
    yield found
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest.rstrip().endswith("Ended.")
    # Of all the photographs nothing was written but the gallery.
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == {"people"}


@pytest.fixture
def page(address: str, tmp_path: Path, real_data: Path) -> Iterator[Page]:
    camera = tmp_path / "camera.mjpeg"
    with Image.open(real_data / "photos" / "7201" / "017588.jpg") as portrait:
        frame = Image.new("RGB", (640, 480))
        portrait.thumbnail((640, 480))
        frame.paste(portrait, ((640 - portrait.width) // 2, 0))
    frame.save(tmp_path / "frame.jpg", quality=95)
    camera.write_bytes((tmp_path / "frame.jpg").read_bytes() * 3)
    with browser(tmp_path, camera) as found:
        found.window(1100, 900)
        found.go(address)
        yield found
        # It asked nobody but the service, and nothing went wrong unseen.
        local = (address, "data:", "blob:" + address)
        assert [asked for asked in found.asked if not asked.startswith(local)] == []
        assert found.said == []


def photos(real_data: Path, person: str) -> list[Path]:
    return sorted((real_data / "photos" / person).iterdir())


def wait_for(page: Page, answer: str) -> None:
    page.until(f"document.querySelector('#{answer} :is(.verdict, .seen, .fault)')")


def test_two_photographs_are_compared(page: Page, real_data: Path, tmp_path: Path) -> None:
    one, another = photos(real_data, "7201")[:2]
    page.choose("#file-first", [one])
    page.choose("#file-second", [another])
    wait_for(page, "compare-answer")
    assert page.text("#compare-answer h2") == "Same person"
    assert f"threshold {LIMIT:.3f}"[:-1] in page.text("#compare-answer .word")
    similarity = float(page.text("#compare-answer .here"))
    assert LIMIT < similarity < 1
    # The mark stands where the number says, right of the threshold's.
    here, edge = (
        float(
            page.tell(f"document.querySelector('#compare-answer {name}').style.left.slice(0, -1)")
        )
        for name in (".here", ".mark:not(.point)")
    )
    assert here == pytest.approx(100 * (similarity + 0.2) / 1.2, abs=0.1)
    assert edge < here
    # Every face is boxed, the one that was taken has its five landmarks, within its box.
    for side in ("first", "second"):
        inside = page.tell(
            f"(() => {{ const at = '[data-pick={side}] '; const q = (s) => "
            "[...document.querySelectorAll(at + s)];"
            "const box = q('.taken rect')[0].getBoundingClientRect();"
            "return q('.taken circle').filter((c) => { const r = c.getBoundingClientRect();"
            "return r.left > box.left && r.right < box.right && r.top > box.top"
            "&& r.bottom < box.bottom; }).length; })()"
        )
        assert inside == 5
        assert (
            page.tell(f"document.querySelector('[data-pick={side}] .face img').naturalWidth") == 112
        )
    stranger = photos(real_data, "7202")[0]
    page.choose("#file-second", [stranger])
    page.until("document.querySelector('#compare-answer h2')?.textContent === 'Different people'")
    assert float(page.text("#compare-answer .here")) < LIMIT
    for width, dark in ((1100, False), (1100, True), (390, False), (390, True)):
        page.window(width, 800, dark=dark)
        assert page.overflow() == 0
        seen = np.asarray(Image.open(page.picture(tmp_path / f"compare_{width}_{dark}.png")))
        assert (seen[-40:, 2:20].mean() < 60) == dark


def test_a_person_is_enrolled_identified_and_removed_by_clicks(
    page: Page, real_data: Path, tmp_path: Path
) -> None:
    name = "Zoë <b>O'Brien</b>/7201"
    page.click("nav a[href='#enrol']")
    page.click("#enrol-form button[type=submit]")
    assert "Give a name" in page.text("#enrol-answer")
    page.click("#name")
    page.type(name)
    page.choose("#file-photos", [photos(real_data, "7201")[0], photos(real_data, "7201")[2]])
    page.click("#enrol-form button[type=submit]")
    page.until("document.querySelector('#enrol-answer .verdict')")
    assert page.text("#enrol-answer h2") == name
    assert "2 photographs enrolled" in page.text("#enrol-answer")
    page.until("document.querySelector('#count').textContent === '1'")
    # Somebody known and somebody unknown.
    page.click("nav a[href='#identify']")
    page.choose("#file-photo", [photos(real_data, "7201")[1]])
    wait_for(page, "identify-answer")
    known = page.text("#identify-answer")
    assert name in known
    assert "of strangers would be taken for one of them" in known
    page.choose("#file-photo", [photos(real_data, "7205")[0]])
    page.until("document.querySelector('#identify-answer').innerText.startsWith('Unknown')")
    page.window(390, 800)
    assert page.overflow() == 0
    page.picture(tmp_path / "identify.png")
    page.window(1100, 900)
    # The same by the camera, which sees the person's other photograph.
    page.click("#identify button[aria-label$=camera]")
    page.until("!document.querySelector('#take').disabled")
    page.click("#take")
    page.until("document.querySelector('#identify-answer .right-word')")
    assert name in page.text("#identify-answer .right-word")
    assert page.tell("document.querySelector('#video').srcObject") is None
    # Removed, after a question that may be answered with no.
    page.click("nav a[href='#people']")
    page.click("#people-list button")
    page.until("document.querySelector('#removal').open")
    page.press("Escape", 27)
    page.until("!document.querySelector('#removal').open")
    assert name in page.text("#people-list")
    page.click("#people-list button")
    assert name in page.text("#removal-words")
    page.click("#removal-yes")
    page.until("document.querySelector('#people-answer').innerText.includes('was removed')")
    page.until("document.querySelector('#count').textContent === '0'")


def test_what_goes_wrong_is_told_with_its_mend(page: Page, real_data: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    page.click("nav a[href='#identify']")
    page.choose("#file-photo", [text])
    wait_for(page, "identify-answer")
    told = page.text("#identify-answer .fault")
    assert "not a JPEG" in told
    assert "Convert it" in told
    large = tmp_path / "large.jpg"
    large.write_bytes(photos(real_data, "7201")[0].read_bytes() + bytes(21_000_000))
    page.choose("#file-photo", [large])
    page.until("document.querySelector('#identify-answer').innerText.includes('20,000,000 bytes')")
    # The browser notes answers from 400 on by itself; nothing else may be said.
    page.said = [line for line in page.said if "status of 4" not in line]


def test_the_keyboard_is_enough(page: Page) -> None:
    stops = []
    for _ in range(9):
        page.press("Tab", 9)
        stops.append(
            page.tell(
                "(document.activeElement.getAttribute('aria-label')"
                " ?? document.activeElement.textContent).trim()"
            )
        )
    assert stops[0] == "Skip to the content"
    assert [stop.split()[0] for stop in stops[1:5]] == ["Compare", "Identify", "Enrol", "People"]
    assert "First photograph: choose a file" in stops
    assert "Second photograph: take it with the camera" in stops


def test_a_token_is_asked_for(weights: Path, real_data: Path, tmp_path: Path) -> None:
    token = "a-token-for-the-browser"
    process, address = start(weights, real_data, tmp_path, "--token", token)
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}/about", timeout=30)
        with browser(tmp_path) as page:
            page.window(800, 700)
            page.do("Page.navigate", url=address)
            for given in ("wrong", token):
                page.until("document.querySelector('#token')?.open")
                page.click("#token-text")
                page.type(given)
                page.press("Enter", 13)
            page.until("document.documentElement.dataset.ready === 'yes'")
            assert "mobilefacenet.onnx" in page.text("#model")
            # Without a gallery the page says so, and what to do.
            page.click("nav a[href='#people']")
            assert "--gallery" in page.text("#people")
        assert json.loads(urllib.request.urlopen(f"{address}/health", timeout=30).read())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
