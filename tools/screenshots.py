"""Take the pictures of docs/screens: the command line, the report, the first page of the site, the notebook.

usage: python tools/screenshots.py [terminal] [report] [site] [notebook]

Needs Chromium for all but the terminal, mkdocs for the site, nbconvert and ipykernel for the notebook.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
SCREENS = ROOT / "docs" / "screens"
COMMAND = ("advplug", "evaluate", "adversarial-training:mnist", "--attacks", "fgm,pgd", "--sweep", "4", "--limit", "30")
COLUMNS, LARGEST = 80, 300_000
WIDTHS = {1280: 900, 390: 844}
"""Heights of what is shown, by width."""

sys.path.insert(0, str(ROOT / "tests"))

from browser import Browser, chromium  # noqa: E402


def terminal(folder: Path) -> None:
    """The command in a terminal of 80 columns, as letters."""
    environment = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    environment |= {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
    done = subprocess.run([*COMMAND, "--out", "run"], cwd=folder, env=environment, capture_output=True, check=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {' '.join(COMMAND)}"))
    console.print(Text.from_ansi(done.stdout.decode()))
    drawn = console.export_svg(title="advplug", theme=DEFAULT_TERMINAL_THEME)
    # The letters are those of the reader: rich's own would be fetched from another host.
    drawn = re.sub(r"(?s)@font-face \{.*?\}\s*", "", drawn).replace("Fira Code", "ui-monospace, Menlo, Consolas")
    (SCREENS / "terminal.svg").write_text(drawn, encoding="utf-8")


def report(folder: Path, browser: Browser) -> None:
    """The first screen of a report, on a desk and on a phone."""
    if not (folder / "run").is_dir():
        terminal(folder)
    for width, height in WIDTHS.items():
        shot(browser, folder / "run" / "report.html", width, height, f"report-{width}.png")


def site(folder: Path, browser: Browser) -> None:
    """The first page of the documentation, on a desk and on a phone."""
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "-f", str(ROOT / "mkdocs.yml"), "-d", str(folder / "site")],
        check=True,
    )
    for width, height in WIDTHS.items():
        shot(browser, folder / "site" / "index.html", width, height, f"site-{width}.png")


def notebook(folder: Path, browser: Browser) -> None:
    """The notebook with its outputs."""
    source = ROOT / "examples" / "python_tour.ipynb"
    command = ["jupyter", "nbconvert", "--to", "html", "--execute", "--output-dir", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    shot(browser, folder / "python_tour.html", 1000, 1300, "notebook.png")


def shot(browser: Browser, page: Path, width: int, height: int, name: str) -> None:
    """The upper ``height`` pixels of ``page``, in as few colours as keep the file light."""
    browser.open(page, width=width, phone=width < min(600, height))
    path = browser.picture(SCREENS / name)
    whole = Image.open(path).convert("RGB")
    part = whole.crop((0, 0, width, min(height, whole.height)))
    part.quantize(256).save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has {size} bytes, more than {LARGEST}")


def main(names: list[str]) -> None:
    """Take the pictures named, all of them if none is."""
    chosen = names or ["terminal", "report", "site", "notebook"]
    SCREENS.mkdir(exist_ok=True)
    with TemporaryDirectory() as place:
        folder = Path(place)
        if "terminal" in chosen:
            terminal(folder)
        pictures = [take for take in (report, site, notebook) if take.__name__ in chosen]
        if pictures:
            with chromium(folder / "profile") as browser:
                for take in pictures:
                    take(folder, browser)


if __name__ == "__main__":
    main(sys.argv[1:])
