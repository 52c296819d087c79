"""A headless Chromium at the end of a pipe: a page is opened, looked at, and every complaint and request noted."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync", "--mute-audio",
    "--no-first-run", "--no-default-browser-check", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def find() -> str | None:
    """Path of a Chromium or Chrome; the environment variable CHROMIUM goes first."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Chromium:
    """A browser and one tab, spoken to in the DevTools protocol over a pipe: no port, no package.

    Attributes
    ----------
    complaints : list of str
        What the page wrote to the console, threw, or broke a policy by.
    requests : list of str
        Addresses that were asked for, other than data: and the pages that were opened. What the page's own policy
        stopped was not asked for; the complaints have it.
    """

    def __init__(self, executable: str, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.complaints: list[str] = []
        self._requests: dict[str, str] = {}
        self._count = 0
        self._buffer = b""
        self._loaded = False
        self._folder = tempfile.mkdtemp(prefix="fdcore-chromium-")
        command_out, self._in = os.pipe()
        self._out, answers_in = os.pipe()
        quiet = os.open(os.devnull, os.O_RDWR)
        # Chromium reads descriptor 3 and writes descriptor 4. They may be in use for the pipes themselves.
        high = [os.dup(fd) for fd in (command_out, answers_in, quiet)]
        while min(high) < 10:
            high = [os.dup(fd) for fd in high]
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in zip((*high, high[2]), (3, 4, 1, 2), strict=True)]
        arguments = [executable, *FLAGS, f"--user-data-dir={self._folder}", "about:blank"]
        self._pid = os.posix_spawn(executable, arguments, dict(os.environ), file_actions=actions, setsid=True)
        for fd in (command_out, answers_in, quiet):
            os.close(fd)
        try:
            target = self._call("Target.createTarget", session=None, url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", session=None, targetId=target, flatten=True)[
                "sessionId"
            ]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    @property
    def requests(self) -> list[str]:
        """Addresses, in the order in which they were asked for."""
        return list(self._requests.values())

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser that this object started, and remove what it wrote."""
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, page: Path, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Load a file in a window of that size, in a light or dark colour scheme."""
        self.complaints.clear()
        self._requests.clear()
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=media)
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._own = page.resolve().as_uri()
        self._loaded = False
        self._call("Page.navigate", url=self._own)
        end = time.monotonic() + self.timeout
        while not self._loaded:
            self._read(end)
        # What is scheduled after the load event gets its turn.
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page; an awaited one of a promise."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, to: Path) -> None:
        """Write the whole page, and not only what fits the window, as a PNG."""
        data = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        to.write_bytes(base64.b64decode(data))

    def _call(self, method: str, session: str | None = "own", **params: Any) -> dict[str, Any]:
        self._count += 1
        number = self._count
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._in, data) :]
        end = time.monotonic() + self.timeout
        while True:
            answer = self._read(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _read(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                raise TimeoutError(f"Chromium said nothing for {self.timeout:g} s")
            data = os.read(self._out, 1 << 16)
            if not data:
                raise RuntimeError("Chromium closed its pipe")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{params['type']}: {params['args']}")
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.complaints.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif event == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith("data:") and url != self._own:
                self._requests[params["requestId"]] = url
        elif event == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self._requests.pop(params["requestId"], None)
