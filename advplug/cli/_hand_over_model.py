"""How code of its own makes the model that a user named."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from advplug.cli._counts import whole
from advplug.cli._named import SCORES
from advplug.errors import InvalidInput
from advplug.intake.code import attribute_of, found, made, required, working_directory
from advplug.plugins.manager import Manager
from advplug.scaffold import pin_of
from advplug.scaffold.expressions import Imports, quoted

_COPIED = "# Copied by advplug new: the model as it was searched.\n# ruff: noqa\n# fmt: off\n# mypy: ignore-errors\n"
_LOADED = re.compile(r"""\bload\(\s*["']([a-z]+:[a-z0-9-]+)["']""")
_LIBRARIES = {"timm": ("advplug.intake.timm_models", "timm_model"), "hf": ("advplug.intake.hf_models", "hf_model")}


@dataclass(frozen=True, kw_only=True)
class Source:
    """The code that makes the model.

    Parameters
    ----------
    expression: the model, or the function from inputs to scores, where ``module`` is what ``imported`` names.
    imported: the module to import, "" for none.
    is_model: whether the expression gives a module.
    imports: what the expression needs of advplug.
    attached: files below the source folder.
    needs: requirements.
    extra: of advplug that it needs.
    brings_weights: whether the weights are somebody else's.
    notes: what the author should know.
    output: the entry with the scores where the model answers with several.
    """

    expression: str
    imported: str = ""
    is_model: bool = True
    imports: Imports = field(default_factory=set)
    attached: Mapping[str, bytes] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    extra: str = "torch"
    brings_weights: bool = False
    notes: tuple[str, ...] = ()
    output: str | None = None

    @property
    def wrapped(self) -> bool:
        """Whether the expression has to be seen as a model."""
        return not self.is_model or self.output is not None

    @property
    def needed(self) -> Imports:
        """What the code needs of advplug."""
        return {*self.imports, ("advplug.model", "PlainModel")} if self.wrapped else self.imports

    def code(self, num_classes: int) -> str:
        """The lines of a method that give ``model``."""
        made = self.expression
        if self.wrapped:
            entry = "" if self.output is None else f", output={_entry(self.output)}"
            made = f"PlainModel({made}, {num_classes}, BOUNDS{entry})"
        first = [f"        module: Any = import_module({quoted(self.imported)})"] if self.imported else []
        return "\n".join([*first, f"        model: Any = {made}"])


def model_source(name: str, package: str, manager: Manager) -> Source:
    """The code for the model ``name``, to stand in ``package``.

    Raises
    ------
    InvalidInput: it is named by nothing that can be imported.
    """
    first, _, rest = name.partition(":")
    if not rest or any(spec.name == first for spec in manager.specs("defense")):
        return _of_defense(first, rest, manager)
    if first in _LIBRARIES:
        call = f"{_LIBRARIES[first][1]}({quoted(rest)})"
        return Source(expression=call, imports={_LIBRARIES[first]}, extra=f"torch,{first}", brings_weights=True)
    with working_directory():
        expression, is_model = _expression(name, first, rest)
    file = _own_file(first)
    if file is None:
        return Source(
            expression=expression, imported=first, is_model=is_model, needs=_homes([first]),
            notes=_note_of(first),
        )  # fmt: skip
    text = file.read_text(encoding="utf-8")
    needs = (*_homes(_imported(text)), *_plugins_of(text, manager))
    return Source(
        expression=expression, imported=f"{package}._model", is_model=is_model,
        attached={"_model.py": (_COPIED + text).encode()}, needs=needs,
        notes=(f"{file.name} is copied to {package}/_model.py: files that it reads must be found from there",),
    )  # fmt: skip


def _entry(text: str) -> str:
    """The name or number of an entry as code."""
    number = whole(text)
    return quoted(text) if number is None else str(number)


def _of_defense(name: str, preset: str, manager: Manager) -> Source:
    """An installed defense, whose plugin brings the weights."""
    presets = manager.load(f"defense:{name}")().presets
    home = manager.provenance(f"defense:{name}")
    chosen = preset or next(iter(presets))
    expression = f"load({quoted(f'defense:{name}')})().build({quoted(chosen)})"
    return Source(expression=expression, needs=(home.distribution + pin_of(home.version),), brings_weights=True)


def _expression(name: str, path: str, attribute: str) -> tuple[str, bool]:
    """What gives the model in terms of ``module``, and whether it is a module; as the command line takes it."""
    from torch import nn

    thing: Any = found(name)
    text = f"module.{attribute}"
    if not isinstance(thing, nn.Module) and callable(thing) and required(thing) == []:
        thing, text = made(name, thing), f"{text}()"
    if isinstance(thing, nn.Module):
        return text, True
    scores = None if inspect.isclass(thing) else attribute_of(name, thing, SCORES)
    return (text if scores is None else f"{text}.{SCORES}"), False


def _own_file(path: str) -> Path | None:
    """The file of a module of its own in the working folder that imports nothing else from there."""
    origin = getattr(sys.modules[path], "__file__", None)
    if "." in path or origin is None or Path(origin).resolve().parent != Path.cwd() or not origin.endswith(".py"):
        return None
    file = Path(origin)
    try:
        names = _imported(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"{file.name} cannot be read ({error}): mend it, and give the command again") from error
    beside = {one.stem for one in Path.cwd().iterdir() if one.suffix == ".py" or one.is_dir()}
    return None if beside & set(names) else file


def _imported(text: str) -> list[str]:
    """The top-level packages that a module imports, without Python's own."""
    found = {name.partition(".")[0] for node in ast.walk(ast.parse(text)) for name in _modules_of(node)}
    return sorted(found - set(sys.stdlib_module_names))


def _modules_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        yield node.module


def _homes(packages: list[str]) -> tuple[str, ...]:
    """The distributions that bring ``packages``, but for those that every case needs."""
    homes = metadata.packages_distributions()
    names = {homes[package.partition(".")[0]][0] for package in packages if package.partition(".")[0] in homes}
    return tuple(sorted(names - {"advplug", "torch"}))


def _plugins_of(text: str, manager: Manager) -> Iterator[str]:
    """The requirements that bring the plugins which a module loads by name."""
    installed = {spec.key for kind in ("attack", "defense", "data") for spec in manager.specs(kind)}
    for key in sorted(set(_LOADED.findall(text)) & installed):
        source = manager.provenance(key)
        yield source.distribution + pin_of(source.version)


def _note_of(path: str) -> tuple[str, ...]:
    """What to say of a module that is imported by its name."""
    if _homes([path]):
        return ()
    return (f"no distribution brings {path}, which the case imports: install it, or name its folder in PYTHONPATH",)
