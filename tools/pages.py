"""Run the code of a page, every block in order, as a reader would paste it, and show what it prints.

usage: python tools/pages.py PAGE...

- ``python`` blocks run in one namespace. A ``python`` or ``toml`` block with a ``title`` is a file, which is written
  below the current folder.
- ``sh`` blocks run in bash if a command in them is ``advplug``, ``pip install -e``, ``pytest``, or ``python`` with a
  file ``my....py`` that the page has written, in a virtual environment that sees the packages of this one. So do
  indented blocks that start with ``advplug``.
- ``text`` blocks say what the block before printed: their lines appear in that order, digits aside; ``...`` skips.
- ``<!-- not run: REASON -->`` before a block leaves it out; ``<!-- follows: PAGE -->`` runs that page first.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import venv
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"```(\w+)(.*)")
TITLE = re.compile(r'title="([^"]+)"')
MARK = re.compile(r"<!-- (not run|follows): (.+) -->")
SNIPPET = re.compile(r'--8<-- "([^":]+)(?::([\w-]+))?"')
RUNS = ("advplug ", "pip install -e ", "pytest", "python my")


class PageError(AssertionError):
    """A block failed, or did not print what the page says."""


@dataclass(frozen=True)
class Block:
    """One piece of code: ``kind`` is the language of its fence, ``sh`` where it is indented."""

    page: Path
    line: int
    kind: str
    code: str
    title: str | None = None
    not_run: str | None = None

    @property
    def place(self) -> str:
        """Where it starts, for messages."""
        return f"{self.page.parent.name}/{self.page.name}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether it is code that is to be executed."""
        commands = self.kind == "sh" and any(line.startswith(RUNS) for line in self.code.splitlines())
        file = self.kind == "toml" and self.title is not None
        return self.not_run is None and (self.kind == "python" or commands or file)


def blocks(page: Path) -> list[Block]:
    """Every block of ``page``, those of the page it follows first."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found, mark, number = list[Block](), None, 0
    while number < len(lines):
        line = lines[number]
        if match := MARK.fullmatch(line.strip()):
            if match[1] == "follows":
                found += blocks(page.parent / match[2])
            else:
                mark = match[2]
        elif match := FENCE.fullmatch(line):
            end = lines.index("```", number)
            title = TITLE.search(match[2])
            code = expand("\n".join(lines[number + 1 : end])) + "\n"
            found.append(Block(page, number + 1, match[1], code, title[1] if title else None, mark))
            mark, number = None, end
        elif line.startswith("    advplug ") and not lines[number - 1].strip():
            end = next((n for n in range(number, len(lines)) if not lines[n].startswith("    ")), len(lines))
            code = "\n".join(text[4:] for text in lines[number:end]) + "\n"
            found.append(Block(page, number + 1, "sh", code, None, mark))
            mark, number = None, end - 1
        elif line.strip():
            mark = None
        number += 1
    return found


def expand(code: str) -> str:
    """``code`` with the snippets in it, as pymdownx.snippets puts them in."""

    def text(match: re.Match[str]) -> str:
        content = (ROOT / match[1]).read_text(encoding="utf-8")
        if match[2]:
            start, end = (re.search(rf"(?m)^.*--8<-- \[{edge}:{match[2]}\].*\n", content) for edge in ("start", "end"))
            assert start is not None and end is not None, f"{match[1]} has no section {match[2]}"  # noqa: PT018
            content = content[start.end() : end.start()]
        return content.rstrip("\n")

    return SNIPPET.sub(text, code)


class Session:
    """Runs blocks one after the other below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.here = folder, folder / "work"
        self.here.mkdir()
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.environment: dict[str, str] | None = None
        self.printed = ""

    def run(self, block: Block) -> None:
        """Run one block.

        Raises
        ------
        PageError: it fails, or does not print what it should.
        """
        if block.kind == "text" and block.not_run is None and self.printed:
            self.compare(block)
        elif not block.runs:
            self.printed = ""
        elif block.title:
            path = self.here / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        elif block.kind == "python":
            self.python(block)
        else:
            self.shell(block)

    def python(self, block: Block) -> None:
        """Run a block of Python in the namespace of the page."""
        code = "\n" * block.line + block.code  # tracebacks name the line of the page
        output, before = io.StringIO(), Path.cwd()
        os.chdir(self.here)
        try:
            with redirect_stdout(output):
                exec(compile(code, str(block.page), "exec", dont_inherit=True), self.names)
        finally:
            os.chdir(before)
        self.printed = output.getvalue()

    def shell(self, block: Block) -> None:
        """Run a block of bash; a ``cd`` in it holds for the blocks after it."""
        environment = self.environment = self.environment or make_environment(self.folder / "environment")
        where = self.folder / "where"
        script = f"set -euo pipefail\n{block.code}\npwd > '{where}'\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.here, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise PageError(f"{block.place} ended with {done.returncode}\n{block.code}{done.stdout}{done.stderr}")
        self.here = Path(where.read_text(encoding="utf-8").strip())
        self.printed = done.stdout

    def compare(self, block: Block) -> None:
        """Check that the lines of ``block`` were printed, in that order."""
        printed = [essence(line) for line in self.printed.splitlines()]
        position = 0
        for line in block.code.splitlines():
            wanted = essence(line)
            if wanted in ("", "..."):
                continue
            if wanted not in printed[position:]:
                raise PageError(f"{block.place}: the code did not print\n{line}\nit printed\n{self.printed}")
            position = printed.index(wanted, position) + 1


def essence(line: str) -> str:
    """The line without what differs from machine to machine: numbers and the width of columns."""
    return " ".join(re.sub(r"\d[\d,.]*", "0", line).replace("─", "").split())


def make_environment(folder: Path) -> dict[str, str]:
    """Variables of a new virtual environment that sees the packages of this one and installs from the sources."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    scripts = folder / "bin"
    (packages,) = folder.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    # Not as a plain path: then the .pth files in there, which are the editable installs, would not be read.
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    commands = {
        "advplug": 'exec python -c "from advplug.cli import main; main()" "$@"',
        "pytest": 'exec python -m pytest -q -p no:cacheprovider "$@"',
        "pip": f"exec '{sys.executable}' -m pip -q --python '{scripts}/python' \"$@\" --no-deps --no-build-isolation",
    }
    for name, command in commands.items():
        (scripts / name).write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        (scripts / name).chmod(0o755)
    path = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(folder), "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}


def main(arguments: list[str]) -> int:
    """Run the pages given."""
    if not arguments:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    for name in arguments:
        with TemporaryDirectory() as folder:
            session = Session(Path(folder))
            for block in blocks(Path(name).resolve()):
                print(f"--- {block.place} {block.kind}{' (not run)' * (not block.runs and block.kind != 'text')}")
                session.run(block)
                print(session.printed if block.runs and not block.title else "", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
