"""Write requirements/dev.txt: the core and every plugin folder, editable.

usage: python tools/requirements.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path("requirements/dev.txt")


def render(root: Path) -> str:
    """The text of the file; paths are relative to the root, where pip must run."""
    folders = sorted(path.parent.relative_to(root).as_posix() for path in root.glob("plugins/*/*/pyproject.toml"))
    return "".join(f"{line}\n" for line in ["-e .[test,docs,ray,search]", *(f"-e ./{folder}" for folder in folders)])


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` only say whether it is stale."""
    text, target = render(ROOT), ROOT / TARGET
    if "--check" not in arguments:
        target.write_text(text, encoding="ascii")
        return 0
    if target.is_file() and target.read_text(encoding="ascii") == text:
        return 0
    print(f"{TARGET} is stale: run python tools/requirements.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
