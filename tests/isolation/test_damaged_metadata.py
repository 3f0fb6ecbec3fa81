"""Distributions whose own files are damaged: the installer's business, but no reason for the host to die."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
Install = Callable[..., Path]

SOME = SmallDistribution(
    name="some-attacks",
    version="1.2.3",
    modules={"some_attacks.py": attack_source("some")},
    entry_points={"some": "some_attacks"},
)


def damaged(folder: Path, file: str, content: bytes | None) -> Path:
    path = folder / "some_attacks-1.2.3.dist-info" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"[advplug]\nsome\n", "TypeError"), (b"[advplug]\nsome = \xff\n", "UnicodeDecodeError")],
    ids=["no value", "not UTF-8"],
)
def test_unreadable_entry_points(
    advplug: Advplug, site: Install, working: set[str], content: bytes, error: str
) -> None:
    folder = damaged(site(SOME), "entry_points.txt", content)
    listed = advplug(folder, "list")
    assert (listed.code, listed.keys) == (0, working)
    assert listed.stderr == "! problems with some-attacks (advplug doctor for the traceback)\n"

    answer = advplug(folder, "doctor", "--json", ADVPLUG_PLUGINS="some-attacks,attack-good")
    assert answer.code == 1
    (problem,) = answer.document["problems"]
    assert (problem["distribution"], problem["version"]) == ("some-attacks", "1.2.3")
    assert (problem["entry_point"], problem["stage"]) == ("entry_points.txt", "import")
    assert error in problem["error"]
    assert "Traceback" in problem["traceback"]

    quiet = advplug(folder, "list", ADVPLUG_DISABLE="some-attacks")
    assert (quiet.code, quiet.keys, quiet.stderr) == (0, working, "")


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"], ids=["missing", "empty", "not UTF-8"])
def test_metadata_without_a_name(advplug: Advplug, site: Install, working: set[str], content: bytes | None) -> None:
    folder = damaged(site(SOME), "METADATA", content)
    listed = advplug(folder, "list")
    assert (listed.code, listed.keys, listed.stderr) == (0, working | {"attack:some"}, "")
    (line,) = (line for line in listed.stdout.splitlines() if line.startswith("attack:some"))
    assert line.split()[-1] == "some-attacks"  # from the name of its folder
