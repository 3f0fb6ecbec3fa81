"""Downloads, from a host on this machine and from one that is not there: one line each."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from advplug.data_files import fetch
from advplug.errors import DataUnavailable

pooch = pytest.importorskip("pooch")

CONTENT = bytes(2_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Silent(SimpleHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "digits.bin").write_bytes(CONTENT)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path / "there")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/digits.bin"
    server.shutdown()
    server.server_close()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody listens."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/digits.bin"


@pytest.fixture(autouse=True)
def talkative() -> Iterator[None]:
    """pooch as it comes: its logger writes to stderr."""
    level = pooch.get_logger().level
    pooch.get_logger().setLevel(logging.INFO)
    yield
    assert pooch.get_logger().level == logging.INFO
    pooch.get_logger().setLevel(level)


@pytest.mark.parametrize("known_hash", [SHA256, None])
def test_a_download_is_one_line(
    host: str, tmp_path: Path, known_hash: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = fetch(tmp_path / "here", "digits.bin", [host], "Put it there.", known_hash)
    assert path.read_bytes() == CONTENT
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "downloading digits.bin from 127.0.0.1, 2.5 MB"


def test_without_a_network_the_error_is_all(nobody: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Once a line for each address came before it: Downloading data from ... to file ..."""
    with pytest.raises(DataUnavailable, match=r"no connection; .*: no connection\)\. Put it there\.$") as caught:
        fetch(tmp_path / "here", "digits.bin", [nobody, nobody], "Put it there.")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_the_next_address_is_tried(host: str, nobody: str, tmp_path: Path) -> None:
    assert fetch(tmp_path / "here", "digits.bin", [nobody, host], "", SHA256).read_bytes() == CONTENT


def test_other_content_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="hash"):
        fetch(tmp_path / "here", "digits.bin", [host], "", "0" * 64)
    assert list((tmp_path / "here").iterdir()) == []
