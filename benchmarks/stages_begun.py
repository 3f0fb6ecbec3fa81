"""A plugin that writes down every stage that a worker begins, in whatever process; ``kills.py`` installs it for a run.

Each begun stage is a line of the file that ``ADVPLUG_STAGES_BEGUN`` names: the slice, and a digest of what it had so
far. The same line twice is a stage that was computed again.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from advplug import hookimpl
from advplug.evaluation.chain import Chain
from advplug.evaluation.storage.piece import Piece
from advplug.evaluation.worker import Progress, Worker
from advplug.specs import AttackSpec

VARIABLE = "ADVPLUG_STAGES_BEGUN"


@hookimpl
def advplug_attacks() -> Iterable[AttackSpec]:
    """None: being imported is all that this plugin is for."""
    return ()


def install(folder: Path) -> dict[str, str]:
    """Make a distribution of this module in ``folder``; returns the environment in which it is found."""
    place = folder / "stages_begun-0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: stages-begun\nVersion: 0\n")
    (place / "entry_points.txt").write_text(f"[advplug]\nstages-begun = {Path(__file__).stem}\n")
    paths = [str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def begun_again(file: Path) -> int:
    """How many stages were begun once more than once."""
    return sum(count - 1 for count in Counter(file.read_text().splitlines()).values())


_advance = Worker.advance


def _counted(self: Worker, chain: Chain, before: bytes | None, progress: Progress | None = None) -> Piece:
    state = "" if before is None else hashlib.sha256(before).hexdigest()
    line = f"{chain.recipe} {chain.start} {chain.stop} {state}\n"
    with open(os.environ[VARIABLE], "a", encoding="ascii") as file:  # one short write: processes do not mix lines
        file.write(line)
    return _advance(self, chain, before, progress)


if VARIABLE in os.environ:
    Worker.advance = _counted  # type: ignore[method-assign]
