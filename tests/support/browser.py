"""Real pages in a real browser: headless Chromium, driven by chromedriver's W3C protocol.

    browser.open("file:///tmp/report.html", width=400)
    browser.wait("document.querySelectorAll('svg').length > 3")
    assert browser.evaluate("document.title") == "Run 3"
    assert browser.requests() == []  # but for the page itself

Nothing outside this machine can be reached: only 127.0.0.1 and files resolve. A browser takes a
second to start, a page some 50 ms: tests share the session fixture `browser`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip
# What a page holds itself, or makes; asking for it asks nobody.
_OWN = ("data:", "blob:", "about:", "chrome")
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy


class BrowserError(Exception):
    """Chromium or chromedriver says no: a script threw, a page cannot be opened."""


class Browser:
    """A tab of Chromium.

    Args:
        address: Where chromedriver listens.
        binary: Chromium.
        profile: An empty folder for its profile.
    """

    def __init__(self, address: str, binary: str, profile: str) -> None:
        self._address = f"{address}/session"
        capabilities = {
            "goog:chromeOptions": {
                "binary": binary,
                "args": [*_ARGUMENTS, f"--user-data-dir={profile}"],
            },
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self._address += f"/{session['sessionId']}"
        self._errors: list[str] = []
        self._requests: list[str] = []
        self._address_open = ""

    def open(
        self,
        address: str | Path,
        width: int = 1200,
        height: int = 800,
        *,
        dark: bool = False,
        media: str = "screen",
    ) -> None:
        """Opens a page and forgets errors and requests of the one before.

        Args:
            address: A URL, or the path of a file.
            width: Of the viewport, in CSS pixels; may be narrower than a window can be.
            height: Of the viewport.
            dark: Whether the user prefers dark pages.
            media: `screen` or `print`.
        """
        self._address_open = address.absolute().as_uri() if isinstance(address, Path) else address
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.resize(width, height)
        self.command("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._read_logs()
        self._errors, self._requests = [], []
        self._call("POST", "/url", {"url": self._address_open})  # waits for the event `load`

    def resize(self, width: int, height: int = 800) -> None:
        """Gives the viewport another size; the page stays open."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def evaluate(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression, as JSON has it.

        Raises:
            BrowserError: It threw.
        """
        script = {"script": f"return ({expression})", "args": []}
        return self._call("POST", "/execute/sync", script)

    def wait(self, condition: str, timeout_seconds: float = 20) -> None:
        """Waits until a JavaScript expression is true.

        Raises:
            BrowserError: It was not in time, or threw.
        """
        end = time.monotonic() + timeout_seconds
        while not self.evaluate(condition):
            if time.monotonic() > end:
                said = "".join(f"\n  {error}" for error in self.errors())
                raise BrowserError(f"not true in {timeout_seconds} s: {condition}{said}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Clicks on the first element of a CSS selector with the mouse; it must be visible."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        (element,) = found.values()
        self._call("POST", f"/element/{element}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Types into the first element of a CSS selector; special keys as W3C WebDriver says."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        (element,) = found.values()
        self._call("POST", f"/element/{element}/value", {"text": text})

    def screenshot(self, path: str | Path) -> None:
        """Saves the whole page, however long, as a PNG file."""
        content = self.command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": content["width"], "height": content["height"], "scale": 1}
        image = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        Path(path).write_bytes(base64.b64decode(image["data"]))

    def errors(self) -> list[str]:
        """Returns the errors of the console since the page was opened, uncaught ones too."""
        self._read_logs()
        return list(self._errors)

    def requests(self) -> list[str]:
        """Returns the addresses that the page has requested since it was opened, except its own.

        Addresses of HTTP, WebSocket and files, those that failed too; not `data:` and `blob:`.
        """
        self._read_logs()
        asked = list(self._requests)
        if asked[:1] == [self._address_open]:
            del asked[0]
        return asked

    def overflow(self) -> int:
        """Returns by how many pixels the page is wider than the viewport."""
        width: int = self.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return max(0, width)

    def command(self, name: str, **parameters: Any) -> Any:
        """Sends a command of the DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def close(self) -> None:
        """Ends Chromium."""
        self._call("DELETE", "")

    def _read_logs(self) -> None:
        """Adds what the logs got since they were last read; reading empties them."""
        for entry in self._call("POST", "/se/log", {"type": "browser"}):
            if entry["level"] == "SEVERE":
                self._errors.append(entry["message"])
        for entry in self._call("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
            elif message["method"] == "Network.webSocketCreated":
                address = message["params"]["url"]
            else:
                continue
            if not address.startswith(_OWN):
                self._requests.append(address)

    def _call(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with _opener.open(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["value"]
            raise BrowserError(f"{said['error']}: {said['message']}") from None


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts chromedriver and Chromium; skips the test where they are not installed."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    with (
        tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [driver, "--port=0", "--log-level=SEVERE"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        try:
            browser = Browser(_address(process), binary, folder)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    """Returns where chromedriver listens; it says so in a line of its own."""
    assert process.stdout is not None
    for line in process.stdout:
        if "started successfully on port" in line:
            return f"http://127.0.0.1:{line.split()[-1].rstrip('.')}"
    raise BrowserError("chromedriver ended before it listened.")
