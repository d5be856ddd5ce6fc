"""A person at a real browser: headless Chromium, driven through its DevTools protocol."""

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect


class Page:
    """One open page. What it asked the network for and what its console said are kept."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.asked: list[str] = []
        self.said: list[str] = []
        for name in ("Page.enable", "Runtime.enable", "Network.enable", "Log.enable", "DOM.enable"):
            self.do(name)

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """Call the protocol; gives its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"])[:600])
        elif message.get("method") == "Log.entryAdded":
            self.said.append(params["entry"]["text"])
        elif message.get("method") == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.said.append(json.dumps(params["args"])[:600])

    def go(self, address: str) -> None:
        """Open an address, and wait until the page says that it is ready."""
        self.do("Page.navigate", url=address)
        self.until("document.documentElement?.dataset.ready === 'yes'")

    def tell(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 60) -> None:
        """Wait for an expression to be true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.tell(f"Boolean({expression})")
            if value:
                return
            time.sleep(0.05)
        text = self.tell("document.body.innerText")
        raise AssertionError(f"never true: {expression}\n{text}\n{self.said}")

    def text(self, selector: str) -> str:
        """What a person reads there."""
        return str(self.tell(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Move the mouse to the middle of an element and press its button."""
        name = json.dumps(selector)
        self.until(f"document.querySelector({name})?.checkVisibility()")
        # A click goes by what was last drawn: two frames later that is what is there now.
        self.do(
            "Runtime.evaluate",
            expression="new Promise((go) => "
            "requestAnimationFrame(() => requestAnimationFrame(go)))",
            awaitPromise=True,
        )
        x, y = self.tell(
            f"(() => {{ const e = document.querySelector({name}); "
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.do("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press a key such as Tab (9) or Enter (13)."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.do(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files in a file input, as its dialog does."""
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        node = self.do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.do("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def window(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, and what the person prefers."""
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])

    def overflow(self) -> int:
        """Pixels that stick out of the window to the right."""
        return int(self.tell("Math.max(0, document.documentElement.scrollWidth - innerWidth)"))

    def picture(self, path: Path) -> Path:
        """A PNG of the whole page."""
        found = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
        return path


@contextlib.contextmanager
def browser(folder: Path, camera: Path | None = None) -> Iterator[Page]:
    """A page of a fresh browser that finds nobody but this machine.

    `camera` is a Motion JPEG file that the browser shows as its camera's. Skips where there is no
    Chromium.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    profile = folder / "profile"
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={profile}"),
        *("--remote-debugging-port=0", "--remote-allow-origins=*"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    if camera is not None:
        command += [
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
            f"--use-file-for-fake-video-capture={camera}",
        ]
    process = subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        told = profile / "DevToolsActivePort"
        for _ in range(600):
            if told.exists() and len(told.read_text().splitlines()) == 2:
                break
            time.sleep(0.1)
        port, path = told.read_text().splitlines()
        largest = 2**26  # a screenshot is one message
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=largest) as all_pages:
            asked = {"id": 1, "method": "Target.getTargets", "params": {}}
            all_pages.send(json.dumps(asked))
            targets = json.loads(all_pages.recv(timeout=60))["result"]["targetInfos"]
            target = next(each["targetId"] for each in targets if each["type"] == "page")
        address = f"ws://127.0.0.1:{port}/devtools/page/{target}"
        with connect(address, max_size=largest, open_timeout=60) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait(30)
