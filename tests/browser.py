"""A real browser for pages: headless Chromium from the distribution."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_QUESTIONS = """
<script>
addEventListener("load", () => {  // every picture has been read by then, or has failed
  const root = document.documentElement;
  root.dataset.images = document.images.length;
  root.dataset.broken = [...document.images].filter(image => !image.naturalWidth).length;
  root.dataset.overflow = Math.max(0, root.scrollWidth - innerWidth);
  root.dataset.height = root.scrollHeight;
});
</script>
"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page.

    `images`, `broken`: how many pictures there are, and how many did not show; `overflow`: pixels
    that stick out to the right; `height`: of the whole page; `screenshot`: uint8 (H, W, 3).
    """

    images: int
    broken: int
    overflow: int
    height: int
    screenshot: np.ndarray


def look(page: Path, folder: Path, width: int, height: int = 1600) -> Seen:
    """Open `page` in a window of this size; skips where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    asked = folder / f"asked_{width}.html"
    asked.write_text(page.read_text().replace("</body>", f"{_QUESTIONS}</body>"))
    picture = folder / f"{page.stem}_{width}.png"
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder / 'profile'}"),
        *(f"--window-size={width},{height}", "--virtual-time-budget=10000"),
    ]
    address = asked.as_uri()

    def run(*options: str) -> str:
        ended = subprocess.run(
            [*command, *options, address], capture_output=True, text=True, timeout=120, check=True
        )
        return ended.stdout

    dom = run("--dump-dom")
    run(f"--screenshot={picture}")
    told = dict(re.findall(r'data-(images|broken|overflow|height)="(\d+)"', dom.split("<head")[0]))
    numbers = {name: int(told[name]) for name in ("images", "broken", "overflow", "height")}
    return Seen(**numbers, screenshot=np.asarray(Image.open(picture).convert("RGB")))
