"""A new plugin distribution from templates, written whole or not at all.

The templates are package data beside this file, one folder for each kind. Imports neither torch nor numpy.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from string import Template

from advplug.errors import InvalidInput

TEMPLATES = Path(__file__).parent
SUFFIX = ".template"
KINDS = ("attack", "defense", "adaptive", "data", "loss", "gradient", "criterion")
"""The kinds of distribution there are templates for."""

MODULES = {kind: f"_{kind}" for kind in KINDS} | {"data": "_dataset"}
"""The module of each kind that the author rewrites."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 30  # longer ones would push generated lines past 120 columns
LONGEST = {"summary": 90, "title": 50, "paper": 240}
"""Lines that the author writes, and how many characters each may have."""

UNPUBLISHED = "no paper so far"
"""The paper of those who name none."""

PROJECT = {
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    "tox.ini": "tox.ini",
    ".github/workflows/check.yml": "check.yml",
}
"""What a repository of its own needs: the templates in the folder ``project`` by the paths they are written to."""

SUMMARIES = {
    "attack": "Basic iterative method: steps along the sign of the gradient under Linf",
    "defense": "Pixels rounded to eight levels, which makes the gradient zero everywhere",
    "adaptive": "PGD on the margin with gradients that bypass the masking breaks {breaks}",
    "data": "Noisy stripes in three directions, drawn from a fixed seed",
    "loss": "The margin of the true class over the k-th best other class",
    "gradient": "The gradient at a point near the input, drawn from a Gaussian",
    "criterion": "The answer lies several classes away from the true one",
}
"""What the examples are, for those who give no summary of their own."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One distribution that is to be written.

    Parameters
    ----------
    kind: one of :data:`KINDS`.
    name: of the plugin, as users will type it.
    parent: the folder that the distribution's folder goes into.
    version: of the distribution, ``X.Y.Z``.
    core: version of advplug that it is written for.
    authors: as they stand in the metadata.
    summary: one line without double quotes and backslashes; None for what the example is.
    title: the name as people read it, in the same characters; None for :func:`title_of` the name.
    paper: authors, title, venue and year of the source, in the same characters; None for what has none.
    standalone: whether it lies in a repository of its own, and gets the files of :data:`PROJECT`.
    breaks: name of the defense, for the kind ``adaptive``.
    defense: requirement that brings this defense, for the same kind.
    folder_of_templates: below :data:`TEMPLATES`; "" for that of the kind.
    values: for further places of those templates.
    attached: content of further files by their path below the source folder.
    needs: requirements, instead of those of the kind's example.

    Raises
    ------
    InvalidInput: a field does not have that form.
    """

    kind: str
    name: str
    parent: Path
    version: str
    core: str
    authors: str
    summary: str | None = None
    title: str | None = None
    paper: str | None = None
    standalone: bool = True
    breaks: str = ""
    defense: str = ""
    folder_of_templates: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    attached: Mapping[str, bytes] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInput(f"no kind of plugin {self.kind!r}: choose one of {', '.join(KINDS)}")
        check_name(self.name)
        for name in LONGEST:
            if (text := getattr(self, name)) is not None:
                check_line(name, text)

    @property
    def distribution(self) -> str:
        """Name of the distribution and of its folder."""
        return f"advplug-{self.kind}-{self.name}"

    @property
    def folder(self) -> Path:
        """Where it will lie."""
        return self.parent / self.distribution

    @property
    def module(self) -> str:
        """The top module."""
        return self.distribution.replace("-", "_")

    @property
    def templates(self) -> Path:
        """Where its templates lie."""
        return TEMPLATES / (self.folder_of_templates or self.kind)

    def files(self) -> dict[str, str | bytes]:
        """The content of every file by its path below :attr:`folder`."""
        source = f"src/{self.module}"
        found: dict[str, str | bytes] = {
            "pyproject.toml": self._render(TEMPLATES / "pyproject.toml"),
            "README.md": self._render(self.templates / "README.md"),
            f"{source}/__init__.py": self._render(self.templates / "__init__.py"),
            f"{source}/{MODULES[self.kind]}.py": self._render(self.templates / f"{MODULES[self.kind]}.py"),
            f"{source}/py.typed": "",
            f"tests/test_{self.kind}_{self.name.replace('-', '_')}.py": self._render(self.templates / "test.py"),
            **{f"{source}/{path}": content for path, content in self.attached.items()},
        }
        if self.templates == TEMPLATES / "defense":
            found[f"{source}/weights/mnist.safetensors"] = (TEMPLATES / "defense" / "mnist.safetensors").read_bytes()
            found[f"{source}/weights/mnist.json"] = self._render(TEMPLATES / "defense" / "mnist.json")
        if self.standalone:
            found |= {path: self._render(TEMPLATES / "project" / template) for path, template in PROJECT.items()}
        return found

    def _render(self, template: Path) -> str:
        text = template.with_name(template.name + SUFFIX).read_text(encoding="utf-8")
        return Template(text).substitute(self._values())

    def _values(self) -> Mapping[str, str]:
        summary = self.summary or SUMMARIES[self.kind].format(breaks=self.breaks)
        paper = (self.paper or UNPUBLISHED).rstrip(".")
        return {
            "kind": self.kind,
            "name": self.name,
            "distribution": self.distribution,
            "module": self.module,
            "class_name": class_name(self.kind, self.name, self.templates),
            "summary": summary.rstrip("."),
            "title": (self.title or title_of(self.name)).rstrip("."),
            "paper": paper,
            "reference": _string(paper),
            "year": str(date.today().year),
            "version": self.version,
            "authors": self.authors,
            "breaks": self.breaks,
            "dependencies": "\n".join(f'    "{requirement}",' for requirement in self.needs or self._requirements()),
            **self.values,
        }

    def _requirements(self) -> Sequence[str]:
        pin = pin_of(self.core)
        match self.kind:
            case "attack":
                return (f"advplug[torch]{pin}", "eagerpy>=0.29")
            case "loss":
                return (f"advplug[torch]{pin}", "eagerpy>=0.29", "torch>=2.4")
            case "defense":
                return (f"advplug[torch]{pin}", f"advplug-data-mnist{pin}", "torch>=2.4")
            case "adaptive":
                return (f"advplug[torch,foolbox]{pin}", f"advplug-attack-pgd{pin}", self.defense)
            case "gradient" | "criterion":
                return (f"advplug[torch]{pin}", f"advplug-attack-pgd{pin}", "torch>=2.4")
            case _:
                return (f"advplug[torch]{pin}", "torch>=2.4")


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a new plugin.

    Raises
    ------
    InvalidInput: it is not lower-case letters, digits and single dashes after a first letter, or too long.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(f"plugin name {name!r}: use lower-case letters, digits and single dashes, a letter first")
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"plugin name {name!r}: at most {LONGEST_NAME} characters")


def check_line(name: str, text: str) -> None:
    """Refuse the text of a field in :data:`LONGEST` that could not stand between double quotes in Python and TOML.

    Raises
    ------
    InvalidInput: it is empty, too long, or has a character that is a quote, a backslash or not printable; or it is a
        paper of less than three words, which the contract of every kind refuses.
    """
    if not text.strip(" .") or len(text) > LONGEST[name]:
        raise InvalidInput(f"{name} {text!r}: write one line of 1 to {LONGEST[name]} characters")
    if not text.isprintable() or '"' in text or "\\" in text:
        raise InvalidInput(f"{name} {text!r}: write one line without double quotes and backslashes")
    if name == "paper" and len(text.split()) < 3:
        raise InvalidInput(f"paper {text!r}: give authors, title, venue and year")


def title_of(name: str) -> str:
    """``my-attack`` as ``My Attack``."""
    return " ".join(part.capitalize() for part in name.split("-"))


def _string(text: str) -> str:
    """A string in double quotes at the place of ``reference`` in a spec, over several lines where it is long."""
    if len(text) <= 90:
        return f'"{text}"'
    parts = textwrap.wrap(text, 90, break_on_hyphens=False, drop_whitespace=False)
    return "\n".join(["(", *(f'{" " * 16}"{part}"' for part in parts), f"{' ' * 12})"])


def class_name(kind: str, name: str, templates: Path | None = None) -> str:
    """``my-attack`` as ``MyAttack``, with the kind behind it where the module has another use for the word."""
    words = "".join(part.capitalize() for part in name.split("-"))
    template = ((templates or TEMPLATES / kind) / f"{MODULES[kind]}.py{SUFFIX}").read_text(encoding="utf-8")
    taken = keyword.iskeyword(words) or re.search(rf"\b{words}\b", template)
    return words + kind.capitalize() if taken else words


def pin_of(version: str) -> str:
    """The range of versions of the same minor version, "" if ``version`` does not start with two numbers."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return f">={match[1]}.{match[2]},<{match[1]}.{int(match[2]) + 1}" if match else ""


def write(plans: Sequence[Plan]) -> list[Path]:
    """Write every distribution of ``plans`` and return their files; after an error none of them is there.

    Raises
    ------
    InvalidInput: a folder is there already, its parent is not, or the files cannot be written.
    """
    for plan in plans:
        if plan.folder.exists():
            raise InvalidInput(f"{plan.folder} is there already: choose another name, or another folder with --path")
        if not plan.parent.is_dir():
            raise InvalidInput(f"no folder {plan.parent}: create it, or choose another with --path")
    done: list[Path] = []
    try:
        with _drafts(plans) as drafts:
            for plan, draft in zip(plans, drafts, strict=True):
                draft.rename(plan.folder)
                done.append(plan.folder)
    except BaseException as error:
        for folder in done:
            shutil.rmtree(folder)
        if isinstance(error, OSError):
            raise InvalidInput(f"cannot write there: {error}") from error
        raise
    return [plan.folder / name for plan in plans for name in plan.files()]


@contextmanager
def _drafts(plans: Sequence[Plan]) -> Iterator[list[Path]]:
    """Every distribution in a hidden folder beside its place, so that a rename puts it there whole."""
    hidden: list[Path] = []
    try:
        for plan in plans:
            hidden.append(Path(tempfile.mkdtemp(dir=plan.parent, prefix=".advplug-new-")))
            for name, content in plan.files().items():
                path = hidden[-1] / plan.distribution / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        yield [folder / plan.distribution for folder, plan in zip(hidden, plans, strict=True)]
    finally:
        for folder in hidden:
            shutil.rmtree(folder)
