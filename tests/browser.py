"""A small client of headless Chromium: opens a page at a given width and says what a reader would see."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((found for name in _NAMES if (found := shutil.which(name))), None)
"""Where a browser is, None without one."""
_PATIENCE = 120  # seconds without a word from the browser
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip

_START = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Gives the browser its ends of the pipes under the numbers that it knows."""

SEEN = """
(() => {
  const width = document.documentElement.clientWidth;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const contrast = (element) => {
    const ink = light(getComputedStyle(element).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  };
  const every = [...document.body.querySelectorAll("*")];
  const texts = every.filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()));
  return {
    width,
    content: document.documentElement.scrollWidth,
    outside: every.filter((e) => !e.closest(".wide > *") && e.getBoundingClientRect().right > width + 1)
      .map((e) => e.outerHTML.slice(0, 80)),
    clipped: [...document.querySelectorAll("svg text")].filter((e) => e.getBoundingClientRect().right >
      e.closest("svg").getBoundingClientRect().right).map((e) => e.textContent),
    framed: [...document.querySelectorAll(".wide > *")].map((e) => Math.floor(e.getBoundingClientRect().right)),
    cut: [...document.querySelectorAll("table")].map((e) => e.parentElement)
      .filter((e) => e.scrollWidth > e.clientWidth).map((e) => `${e.getAttribute("aria-label")}: ${e.scrollWidth}`),
    pale: texts.filter((e) => contrast(e) < 4.5).map((e) => e.outerHTML.slice(0, 80)),
    images: [...document.images].map((i) => ({alt: i.alt, width: i.naturalWidth, complete: i.complete})),
  };
})()
"""
"""What the page looks like from inside; what scrolls in its own frame may be wider than the page."""


class Browser:
    """One page of a running Chromium, and everything that it complained of or asked the network for."""

    def __init__(self, asking: int, answering: int) -> None:
        self._asking, self._answering = asking, answering
        self._waiting, self._number, self._session = b"", 0, None
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def open(
        self, page: Path, *, width: int, phone: bool, scheme: str = "light", media: str = "screen"
    ) -> dict[str, Any]:
        """Load ``page`` at ``width`` pixels, and return what :data:`SEEN` finds there."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=phone)
        self._ask(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self._ask("Page.navigate", url=page.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass
        seen: dict[str, Any] = self._ask("Runtime.evaluate", expression=SEEN, returnByValue=True)["result"]["value"]
        return seen

    def picture(self, path: Path) -> Path:
        """Write a screenshot of the whole page."""
        data = self._ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._asking, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answering], [], [], _PATIENCE)
            part = os.read(self._answering, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError("Chromium says nothing any more")
            self._waiting += part
        line, _, self._waiting = self._waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("warning", "error"):
            self.errors.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"][:80])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, ended afterwards."""
    assert CHROMIUM is not None
    reads, asking = os.pipe()
    answering, writes = os.pipe()
    command = (sys.executable, "-c", _START, str(reads), str(writes), CHROMIUM, *_FLAGS, f"--user-data-dir={profile}")
    process = subprocess.Popen(command, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(reads)
    os.close(writes)
    try:
        yield Browser(asking, answering)
    finally:
        os.close(asking)  # the browser leaves when nobody asks any more
        while select.select([answering], [], [], _PATIENCE)[0] and os.read(answering, 1 << 20):
            pass
        os.close(answering)
        process.wait()
