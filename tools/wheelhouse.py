"""Build the wheels of the core and of every plugin into one folder, and make uv forget the wheels it knew.

usage: python tools/wheelhouse.py FOLDER    needs hatchling and uv

Between two releases every build has the same version, and uv would install the wheel of that version from its cache:
a plugin that is broken by now would pass its tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def projects(root: Path) -> list[Path]:
    """The folders of the core and of the plugins."""
    return [root, *sorted(path.parent for path in root.glob("plugins/*/*/pyproject.toml"))]


def build(root: Path, target: Path) -> list[str]:
    """Replace the wheels in ``target`` by new ones of everything under ``root``; returns the distributions' names.

    Raises
    ------
    subprocess.CalledProcessError: a build failed, or uv did; what they said is on stderr.
    """
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.whl"):
        old.unlink()
    for folder in projects(root):
        # hatchling without an isolated environment: 0.3 s a wheel.
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    names = sorted(wheel.name.split("-")[0].replace("_", "-") for wheel in target.glob("*.whl"))
    subprocess.run([uv(), "cache", "clean", "--quiet", *names], check=True)
    return names


def stale(root: Path, target: Path) -> Path | None:
    """A file under ``root`` that changed after the wheels in ``target`` were built; ``target`` if there are none."""
    wheels = list(target.glob("*.whl"))
    if not wheels:
        return target
    built = min(wheel.stat().st_mtime for wheel in wheels)
    packages = [root / "advplug", *root.glob("plugins/*/*/src")]
    files = [*(folder / "pyproject.toml" for folder in projects(root)), *(f for p in packages for f in p.rglob("*"))]
    changed = (file for file in files if file.is_file() and file.suffix != ".pyc" and file.stat().st_mtime > built)
    return next(changed, None)


def uv() -> str:
    """The uv that ``UV`` names, that of this environment, or the one on the path.

    Raises
    ------
    SystemExit: there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = os.environ.get("UV") or (str(beside) if beside.exists() else shutil.which("uv"))
    if found is None:
        sys.exit("uv is not installed: pip install uv")
    return found


def main(arguments: list[str]) -> int:
    """Build into the folder given."""
    if len(arguments) != 1:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    names = build(ROOT, Path(arguments[0]).resolve())
    print(f"{len(names)} wheels: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
