"""The layout of the core: which layer each module belongs to, how many lines it has, and which imports break the order.

usage: python tools/layout.py

Imports point from a layer to lower ones, never up and never in a circle; imports inside functions and under
TYPE_CHECKING count like all others. A name that is imported as text (a spec's factory) does not count.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LAYERS: dict[str, tuple[str, ...]] = {
    "ground": ("errors", "lazy", "specs", "hyperparameters", "search_space"),
    "numerics": ("numerics",),
    "what is attacked": (
        "threat", "data", "data_files", "model", "criteria", "losses", "transcription", "intake", "tracking",
    ),
    "gateway to the model": (
        "engine.frozen", "engine.gateway", "engine.model_probe", "engine.query_counter", "engine.objective", "engine",
    ),
    "gradients": ("gradients",),
    "gradient networks": ("tracing",),
    "one batch": (
        "engine.region", "engine.problem", "engine.references", "engine.verification", "engine.result",
        "engine.best_points", "engine.task",
    ),
    "attack": ("attack",),
    "runs": ("engine.other_model", "engine.bisection", "engine.search", "engine.merging", "engine.stages"),
    "defenses and cases": ("defense", "adaptive"),
    "records": ("records",),
    "training": ("training",),
    "hooks": ("hookspecs",),
    "plugins": ("plugins",),
    "families": ("families",),
    "spelling": ("spelling",),
    "candidates for gradients": ("tracing.examine", "tracing.places", "tracing.whole"),
    "evaluation": ("evaluation",),
    "composition": ("composition",),
    "api": ("api", "metrics", "searches", "observer", ""),
    "report": ("report",),
    "display": ("display",),
    "interop": ("interop",),
    "testing": ("testing",),
    "scaffold": ("scaffold",),
    "cli": ("cli", "__main__"),
    "calls from Python": ("user_job",),
}  # fmt: skip
"""From the bottom to the top: the modules and wings of each layer, without the leading ``advplug.``."""


def modules() -> dict[str, Path]:
    """Every module of the core by name."""
    found = {}
    for path in sorted((ROOT / "advplug").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer_of(module: str) -> int:
    """Number of the layer of ``module``, the lowest being 0.

    Raises
    ------
    KeyError: no layer names it.
    """
    rest = module.removeprefix("advplug").lstrip(".")
    best = (-1, -1)
    for number, names in enumerate(LAYERS.values()):
        for name in names:
            if rest == name or (name and rest.startswith(f"{name}.")):
                best = max(best, (len(name), number))
    if best[1] < 0:
        raise KeyError(f"{module} stands in no layer of tools/layout.py")
    return best[1]


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ``known`` that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in whole if name in known)
            if node.module in known and any(name not in known for name in whole):
                yield node.module


def graph() -> dict[str, set[str]]:
    """Which modules each module imports, itself left out."""
    known = modules()
    return {name: set(imported(path, known)) - {name} for name, path in known.items()}


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Imports of a higher layer."""
    return [
        f"{module} imports {other}"
        for module, others in edges.items()
        for other in sorted(others)
        if layer_of(other) > layer_of(module)
    ]


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in edges[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = []
            while not group or group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for module in edges:
        if module not in index:
            visit(module)
    return found


PUBLIC = frozenset(
    {
        "", "adaptive", "api", "attack", "criteria", "data", "data_files", "defense", "errors", "gradients",
        "hookspecs", "hyperparameters", "lazy", "losses", "model", "observer", "searches", "search_space", "specs",
        "threat", "tracking", "training", "transcription", "composition", "evaluation", "families", "intake", "interop",
        "interop.art", "interop.foolbox", "numerics", "records", "report", "spelling", "testing",
    }
)  # fmt: skip
"""What a plugin may import of the core, without ``advplug.``: the files at the top, and the wings' packages."""


def private_imports(file: Path, distribution: str) -> list[str]:
    """What a file of a plugin imports that is not public: of the core, or of another distribution.

    Parameters
    ----------
    file: a module of the plugin, one of its tests, or text that looks like one (a template).
    distribution: the name of the plugin's own package, ``advplug_attack_pgd``; what is inside it is its own business.
    """
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            core = package == "advplug" and rest not in PUBLIC and not rest.startswith("testing.")
            other = package.startswith("advplug_") and package != distribution and bool(rest)
            if core or other:
                found.append(f"{file.name} imports {name}")
    return found


def lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def main() -> int:
    """Print the layout; exit 1 if an import breaks the order."""
    known, edges = modules(), graph()
    counts: dict[int, list[int]] = defaultdict(list)
    for name, path in known.items():
        counts[layer_of(name)].append(lines(path))
    for number, (layer, names) in reversed(list(enumerate(LAYERS.items()))):
        shown = ", ".join(name or "advplug" for name in names)
        print(f"{layer:22}{len(counts[number]):4} modules{sum(counts[number]):6} lines   {shown}")
    found, wrong = circles(edges), upward(edges)
    total = sum(map(lines, known.values()))
    print(f"{len(known)} modules, {total} lines, {len(found)} circles, {len(wrong)} upward imports")
    print(*(" <-> ".join(circle) for circle in found), *wrong, sep="\n", end="")
    return 1 if found or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
