"""Set the one version that the core and all plugins share.

usage: python tools/bump.py X.Y.Z
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r"(?m)^(version|__version__) = \"[^\"]*\"")
CITED = re.compile(r"(?m)^version: \S+")
PIN = re.compile(r"(advplug[a-z0-9-]*(?:\[[a-z,]*\])?)>=\d+(?:\.\d+)*,<\d+(?:\.\d+)*")


def pin(version: str) -> str:
    """The range of sibling versions that fit: those of the same minor version."""
    major, minor, _ = map(int, version.split("."))
    return f">={major}.{minor},<{major}.{minor + 1}"


def files(root: Path) -> list[Path]:
    """Every file that holds the version or a sibling pin."""
    patterns = ("pyproject.toml", "advplug/__init__.py", "CITATION.cff", "plugins/*/*/pyproject.toml")
    return sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})


def bump(root: Path, version: str) -> list[Path]:
    """Edit the files; returns those that changed."""
    changed = []
    for path in files(root):
        old = path.read_text(encoding="utf-8")
        if path.suffix == ".cff":
            new = CITED.sub(f"version: {version}", old)
        else:
            new = PIN.sub(rf"\g<1>{pin(version)}", VERSION.sub(rf'\g<1> = "{version}"', old))
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    """Bump to the version given."""
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    for path in bump(ROOT, arguments[0]):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
