"""Write docs/errors.md: invalid calls, and the error message of each.

usage: python tools/errors.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from advplug_attack_pgd import PGD

import advplug
from advplug.errors import AdvplugError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from test_bad_input import IMPOSSIBLE_THREATS, UNREADABLE_THREATS, WRONG_CALLS, call  # noqa: E402

TARGET = ROOT / "docs" / "errors.md"
HEAD = """# Error messages

Every call below raises the error beside it, before the first attack step. `python tools/errors.py` makes each call and
writes this page.

| call | error |
|---|---|
"""


def wrong_calls() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Pairs of what is wrong and a call that shows it."""
    for name in WRONG_CALLS:
        yield f"`run`: {name}", lambda name=name: advplug.run(PGD(), **call(name))
    for arguments, _ in IMPOSSIBLE_THREATS:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        yield f"`ThreatModel({shown})`", lambda arguments=arguments: advplug.ThreatModel(**arguments)
    for text in UNREADABLE_THREATS:
        yield f"`--threat {text}`", lambda text=text: advplug.ThreatModel.parse(text)
    yield "unknown attack", lambda: advplug.load("attack:pdg")
    yield "unknown kind of plugin", lambda: advplug.load("atack:pgd")
    yield "unknown preset", lambda: _kwta().build("minst")
    yield "preset that ships no weights", lambda: _kwta().build("paper")
    yield "weights file that does not exist", lambda: _kwta().build("paper", weights=Path("missing.safetensors"))
    yield "corrupt weights", _corrupt_weights
    yield "unknown split", lambda: advplug.load("data:mnist")().load("tset")


def _kwta() -> Any:
    return advplug.load("defense:kwta")()


def _corrupt_weights() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kwta.safetensors"
        path.write_bytes(b"not weights")
        try:
            _kwta().build("mnist", weights=path)
        except AdvplugError as error:
            raise type(error)(str(error).replace(folder, "FOLDER")) from None


def render() -> str:
    """The text of the page."""
    lines = []
    for name, wrong in wrong_calls():
        try:
            wrong()
        except AdvplugError as error:
            lines.append(f"| {name} | {type(error).__name__}: {error} |".replace("\n", " "))
        else:
            raise AssertionError(f"{name} was not refused")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
