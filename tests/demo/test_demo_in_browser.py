"""The whole demo, small, and its page in a real browser."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from browser import look

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a small demo left, made where there is nothing else."""
    place = tmp_path_factory.mktemp("demo")
    small = ["--people", "50", "--images-per-person", "4", "--epochs", "2", "--scale", "0.1"]
    environment = {**os.environ, "POCKETFACE_DATA": str(place / "none"), "HOME": str(place)}
    subprocess.run(
        [sys.executable, "-m", "pocketface", "demo", *small],
        cwd=place,
        env=environment,
        check=True,
        timeout=600,
    )
    return place / "runs" / "demo"


@pytest.mark.parametrize("width", [420, 1280])
def test_the_page_shows_all_its_pictures_and_fits_the_window(
    demo: Path, tmp_path: Path, width: int
) -> None:
    seen = look(demo / "report.html", tmp_path, width)
    assert seen.images >= 20  # trade-off, ROC, curves, and both faces of the example pairs
    assert seen.broken == 0
    assert seen.overflow == 0
    assert seen.height > 1200
    # Something is drawn, from the top to the bottom of the window.
    for part in (seen.screenshot[:400], seen.screenshot[800:]):
        assert part.std() > 10


def test_a_demo_that_is_done_makes_nothing_again(demo: Path) -> None:
    weights = demo / "student" / "last.safetensors"
    before = weights.stat().st_mtime_ns
    small = ["--people", "50", "--images-per-person", "4", "--epochs", "2", "--scale", "0.1"]
    subprocess.run(
        [sys.executable, "-m", "pocketface", "demo", *small],
        cwd=demo.parents[1],
        check=True,
        timeout=300,
    )
    assert weights.stat().st_mtime_ns == before
