"""One process at a time writes into a run directory."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from advplug.errors import InvalidInput
from advplug.evaluation.storage.lock import NAME, locked
from advplug.evaluation.storage.store import opened

fcntl = pytest.importorskip("fcntl", reason="no file locks on this system")

HOLD = """
import sys, time
from pathlib import Path
from advplug.evaluation.storage.lock import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    {body}
"""


@pytest.fixture
def lines() -> list[str]:
    return []


def start(folder: Path, body: str) -> subprocess.Popen[str]:
    """A process that holds the lock and then does ``body``."""
    code = HOLD.format(body=body)
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path, "time.sleep(600)")
    yield process
    process.kill()
    process.wait()


def test_a_second_process_hears_who_writes_there(
    tmp_path: Path, other: subprocess.Popen[str], lines: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught, opened(tmp_path, lines.append):
        pass
    text = str(caught.value)
    assert text.startswith(f"{tmp_path} is in use by process {other.pid} on {socket.gethostname()} since 2")
    assert text.endswith(": wait, or give another --out")
    assert "\n" not in text
    assert other.poll() is None
    assert not (tmp_path / "rows").exists(), "nothing was written there"


def test_the_lock_of_a_process_that_was_killed_is_free(
    tmp_path: Path, other: subprocess.Popen[str], lines: list[str]
) -> None:
    other.kill()
    other.wait()
    assert json.loads((tmp_path / NAME).read_text())["pid"] == other.pid
    with opened(tmp_path, lines.append):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
    assert not (tmp_path / NAME).exists()
    assert lines == []


def test_a_child_that_outlives_the_process_does_not_keep_the_lock(tmp_path: Path, lines: list[str]) -> None:
    """As a loader's worker may; it ends when its pipe is closed."""
    code = HOLD.format(body="import os; os.fork() or sys.stdin.readline(); os._exit(0)")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.wait(60) == 0
    with opened(tmp_path, lines.append):
        assert lines == []
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_it_is_released_whatever_ends_the_run(tmp_path: Path, lines: list[str], error: type[BaseException]) -> None:
    with pytest.raises(error), opened(tmp_path, lines.append):
        raise error
    with opened(tmp_path, lines.append):
        pass
    assert not (tmp_path / NAME).exists()


def test_one_process_does_not_write_twice_at_once(tmp_path: Path, lines: list[str]) -> None:
    with (
        opened(tmp_path, lines.append),
        pytest.raises(InvalidInput, match=f"in use by process {os.getpid()}"),
        opened(tmp_path, lines.append),
    ):
        pass


def test_a_lock_that_says_nothing_yet_is_one_all_the_same(tmp_path: Path, lines: list[str]) -> None:
    with (tmp_path / NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InvalidInput, match="in use by another process: wait"), locked(tmp_path, lines.append):
            pass


def test_the_file_of_another_run_is_not_removed(tmp_path: Path, lines: list[str]) -> None:
    with locked(tmp_path, lines.append):
        (tmp_path / NAME).unlink()
        (tmp_path / NAME).write_text("another's")
    assert (tmp_path / NAME).read_text() == "another's"


def test_a_system_without_locks_says_so_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with opened(tmp_path, lines.append):
        assert lines == [f"{tmp_path} cannot be locked on this system: start no second run that writes there"]
