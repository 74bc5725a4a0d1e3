"""Headless Chromium for tests, by the DevTools protocol over a pipe: open, evaluate, take pictures."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip

# Chromium reads commands from descriptor 3 and answers on 4.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One tab. Pages are files.

    `console` collects what a page logs, with errors, dialogs and violations of policy.
    """

    def __init__(self, chromium: str, profile: Path, size: tuple[int, int]) -> None:
        command_read, self._commands = os.pipe()
        self._answers, answer_write = os.pipe()
        window = f"--window-size={size[0]},{size[1]}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(command_read), str(answer_write), chromium, *FLAGS, window,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(command_read, answer_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_read)
        os.close(answer_write)
        self._buffer = b""
        self._last_id = 0
        self._session: str | None = None
        self._seen: list[str] = []
        self.console: list[str] = []
        self._requests: dict[str, str] = {}

    def attach(self) -> None:
        """Take hold of the tab; comes before all else."""
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, page: Path, query: str = "") -> None:
        """Open a file and wait until it is loaded."""
        self.console.clear()
        self._requests.clear()
        self._seen.clear()
        self._call("Page.navigate", url=page.resolve().as_uri() + query)
        while "Page.loadEventFired" not in self._seen:
            self._note(self._receive())

    @property
    def requested(self) -> list[str]:
        """Every address that the page asked for and its policy let pass, its own first."""
        return list(self._requests.values())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited.

        Raises:
            RuntimeError: the expression threw.
        """
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 60) -> None:
        """Wait until a JavaScript condition holds.

        Raises:
            RuntimeError: it does not within that time.
        """
        self.evaluate(f"""new Promise((resolve, reject) => {{
            const end = Date.now() + {1000 * seconds};
            const look = () => {{
                if ({condition}) resolve(true);
                else if (Date.now() > end) reject(new Error("still waiting"));
                else setTimeout(look, 50);
            }};
            look();
        }})""")

    def colour_scheme(self, scheme: str) -> None:
        """Let pages see `light` or `dark` as the reader's preference."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def key(self, key: str, **code: Any) -> None:
        """Press a key and let it go; `code` is what the protocol wants beside its name."""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, **(code if kind == "keyDown" else {}))

    @contextlib.contextmanager
    def width(self, pixels: int) -> Iterator[None]:
        """Within it pages are as wide as on a telephone of that many pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=pixels, height=800, deviceScaleFactor=1, mobile=True)
        yield
        self._call("Emulation.clearDeviceMetricsOverride")

    def screenshot(self, path: Path, *, whole_page: bool = False) -> None:
        """A PNG of what is in view, or of the whole page."""
        picture = self._call("Page.captureScreenshot", captureBeyondViewport=whole_page)
        path.write_bytes(base64.b64decode(picture["data"]))

    def print(self, path: Path) -> None:
        """The page as PDF, as it prints."""
        path.write_bytes(base64.b64decode(self._call("Page.printToPDF")["data"]))

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError):
            self._send("Browser.close", {})
        os.close(self._commands)
        os.close(self._answers)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        sent = self._send(method, parameters)
        while True:
            message = self._receive()
            if message.get("id") == sent:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _send(self, method: str, parameters: dict[str, Any]) -> int:
        self._last_id += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._last_id, "method": method, "params": parameters, **session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        return self._last_id

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = os.read(self._answers, 1 << 20)
            if not received:
                raise RuntimeError("Chromium ended by itself")
            self._buffer += received
        message, self._buffer = self._buffer.split(b"\0", 1)
        content: dict[str, Any] = json.loads(message)
        return content

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method", ""), message.get("params", {})
        self._seen.append(method)
        if method == "Log.entryAdded":
            self.console.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.console.append(json.dumps(parameters["args"]))
        elif method == "Network.requestWillBeSent":
            self._requests[parameters["requestId"]] = parameters["request"]["url"]
        elif method == "Network.loadingFailed" and parameters.get("blockedReason") == "csp":
            del self._requests[parameters["requestId"]]
        elif method == "Page.javascriptDialogOpening":
            self.console.append(f"dialog: {parameters['message']}")
            self._send("Page.handleJavaScriptDialog", {"accept": False})  # the page waits for it


@contextlib.contextmanager
def browsing(chromium: str, profile: Path, size: tuple[int, int] = (1280, 900)) -> Iterator[Browser]:
    """A browser that is closed at the end; `profile` is an empty folder for its data."""
    browser = Browser(chromium, profile, size)
    try:
        browser.attach()
        yield browser
    finally:
        browser.close()
