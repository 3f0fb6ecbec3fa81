"""Write what the core and the plugins depend on themselves, so that a resolver can take the lowest of exactly that.

usage: python tools/direct.py FILE

uv's ``lowest-direct`` lowers only what a requirement names directly. Asked for ``advplug[all]``, it would take the
newest numpy; given this list, it takes the oldest that pyproject.toml admits.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


def direct(root: Path) -> list[str]:
    """The requirements of every distribution under ``root``, extras but ``all`` and ``test`` included, each once."""
    found = set()
    for path in (root / "pyproject.toml", *root.glob("plugins/*/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        lists = [project.get("dependencies", []), *(extras[name] for name in extras if name not in {"all", "test"})]
        found |= {requirement for requirements in lists for requirement in requirements}
        found.add(project["name"])
    return sorted(found)


def main(arguments: list[str]) -> int:
    """Write to the file given."""
    if len(arguments) != 1:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    Path(arguments[0]).write_text("".join(f"{line}\n" for line in direct(ROOT)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
