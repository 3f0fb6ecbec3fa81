"""``advplug new KIND NAME``: the files of a new plugin. Imports neither torch nor numpy."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from advplug import __version__
from advplug.cli import _console
from advplug.cli._paths import UserPath
from advplug.errors import AdvplugError
from advplug.plugins.manager import default_manager
from advplug.scaffold import KINDS, UNPUBLISHED, Plan, check_line, check_name, pin_of, title_of, write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDERS = {
    "attack": "attacks", "defense": "defenses", "adaptive": "adaptive", "data": "data", "loss": "losses",
    "gradient": "gradients", "criterion": "criteria",
}  # fmt: skip
"""Where the distributions of a kind lie in advplug's own repository, below ``plugins``."""


@click.command("new")
@click.argument("kind", type=click.Choice([*KINDS, "case"]))
@click.argument("name")
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="Folder that advplug-KIND-NAME is written into; by default plugins/... in a clone of advplug, else here.",
)
@click.option("--title", help="Its name as people read it; asked for in a terminal.")
@click.option("--paper", help="Authors, title, venue and year of its source; asked for in a terminal.")
@click.option("--summary", help="What it is, in one line.")
@click.option(
    "--from",
    "run",
    type=UserPath(),
    metavar="RUN",
    help="Folder of advplug search: the case holds its model, its samples and the sentences that it found.",
)
@click.option("--breaks", metavar="DEFENSE", help="Installed defense that a new adaptive attack breaks; default NAME.")
@_console.json_option
def command(
    *,
    kind: str,
    name: str,
    path: Path | None,
    title: str | None,
    paper: str | None,
    summary: str | None,
    run: Path | None,
    breaks: str | None,
    as_json: bool,
) -> None:
    """Write a new plugin: a small working example to change, with its tests.

    KIND is attack, defense, adaptive, data, loss, gradient, criterion, or case: a defense and the adaptive attack that
    breaks it; with --from RUN, those that advplug search was given and has found. Of a case, title and paper are those
    of the defense.
    """
    check_name(name)
    if breaks is not None and kind != "adaptive":
        raise click.UsageError("--breaks belongs to the kind adaptive; a case breaks its own defense")
    if run is not None and kind != "case":
        raise click.UsageError("--from belongs to the kind case")
    if run is not None and (title or paper):
        raise click.UsageError("a case of a search names the search as its source: leave out --title and --paper")
    clone = None if path else _clone(Path.cwd())
    notes: list[str] = []
    if run is None:
        plans = _plans(kind, name, clone=clone, path=path or Path(), summary=summary, breaks=breaks)
        if not as_json and _is_terminal():
            title, paper = _asked("title", title, title_of(name)), _asked("paper", paper, UNPUBLISHED)
        plans[0] = replace(plans[0], title=title, paper=paper)
    else:
        plans, notes = _handed_over(run, name, clone=clone, path=path or Path(), summary=summary)
    plans = [replace(plan, standalone=clone is None) for plan in plans]
    notes = _notes(plans, clone) + notes
    files = [_shown(file) for file in write(plans)]
    next_commands = _next(plans)
    for text in notes:
        click.secho(f"! {text}", fg="yellow", err=True)
    if as_json:
        distributions = [
            {"distribution": plan.distribution, "kind": plan.kind, "name": name, "folder": _shown(plan.folder)}
            for plan in plans
        ]
        content = {"distributions": distributions, "files": files, "notes": notes, "next": next_commands}
        _console.print_json(content)
    else:
        click.echo("\n".join([*files, "", "next:", *(f"  {line}" for line in next_commands)]))


def _plans(
    kind: str, name: str, *, clone: Path | None, path: Path, summary: str | None, breaks: str | None
) -> list[Plan]:
    """What to write: one distribution, two for a case."""
    kinds = ("defense", "adaptive") if kind == "case" else (kind,)
    breaks = breaks or name
    return [
        Plan(
            kind=each,
            name=name,
            parent=_parent(each, clone, path),
            version=__version__,
            core=__version__,
            authors=_authors(each, name, clone),
            # The one line of a case is its defense's.
            summary=summary if each == kinds[0] else None,
            breaks=breaks if each == "adaptive" else "",
            defense=_requirement(kind, breaks) if each == "adaptive" else "",
        )
        for each in kinds
    ]


def _handed_over(
    run: Path, name: str, *, clone: Path | None, path: Path, summary: str | None
) -> tuple[list[Plan], list[str]]:
    """The distributions of a search, and what else their author should know."""
    from advplug.cli._hand_over import case_of
    from advplug.cli._hand_over_plans import Place

    place = Place(
        name=name,
        parents={kind: _parent(kind, clone, path) for kind in KINDS},
        authors={kind: _authors(kind, name, clone) for kind in KINDS},
        summary=summary,
    )
    return case_of(run, place, default_manager())


def _is_terminal() -> bool:
    """Whether somebody is there who can answer."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


QUESTIONS = {"title": "Title, as people read it", "paper": "Paper (authors, title, venue, year)"}


def _asked(field: str, given: str | None, default: str) -> str:
    """What was given for ``field`` on the command line, otherwise what is typed now."""

    def checked(text: str) -> str:
        try:
            check_line(field, text)
        except AdvplugError as error:
            raise click.UsageError(str(error)) from error  # asks again
        return text

    if given is not None:
        return given
    answer: str = click.prompt(QUESTIONS[field], default=default, value_proc=checked, err=True)
    return answer


def _parent(kind: str, clone: Path | None, path: Path) -> Path:
    return clone / "plugins" / FOLDERS[kind] if clone else path


def _authors(kind: str, name: str, clone: Path | None) -> str:
    return "The advplug authors" if clone else f"The authors of advplug-{kind}-{name}"


def _requirement(kind: str, breaks: str) -> str:
    """What brings the defense: the one written along, or the distribution of the installed one."""
    if kind == "case":
        return f"advplug-defense-{breaks}{pin_of(__version__)}"
    source = default_manager().provenance(f"defense:{breaks}")
    return source.distribution + pin_of(source.version)


def _taken(key: str) -> str | None:
    """A warning if ``key`` is the name of an installed plugin."""
    try:
        source = default_manager().provenance(key)
    except AdvplugError:  # nothing usable has that name
        return None
    return f"{key} is installed already, from {source.distribution}: the new plugin would take its place"


def _clone(start: Path) -> Path | None:
    """The clone of advplug's repository that ``start`` lies in."""
    for folder in (start, *start.parents):
        project = folder / "pyproject.toml"
        if (folder / "plugins").is_dir() and project.is_file():
            try:
                name = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")
            except (OSError, ValueError):  # somebody else's, and damaged: not a clone of advplug
                continue
            if name == "advplug":
                return folder
    return None


def _shown(path: Path) -> str:
    """``path`` as it is typed here: relative where that does not lead upwards."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative


def _next(plans: Sequence[Plan]) -> list[str]:
    """The commands to run now."""
    folders = [_shown(plan.folder) for plan in plans]
    # pip takes a bare folder name for that of a distribution.
    paths = [folder if os.path.isabs(folder) else f"./{folder}" for folder in folders]
    installs = " ".join(f"-e {shlex.quote(path)}" for path in paths)
    checks = [f"advplug check {plan.kind}:{plan.name}" for plan in plans]
    return [f"pip install {installs} pytest", *checks, f"pytest {shlex.join(folders)}"]


def _notes(plans: Sequence[Plan], clone: Path | None) -> list[str]:
    """What else the author should know."""
    notes = [text for plan in plans if (text := _taken(f"{plan.kind}:{plan.name}"))]
    if clone is not None:
        names = " and ".join(plan.distribution for plan in plans)
        notes.append(f"this repository's tests ask for {names} in the extra 'all' and in requirements/dev.txt")
    return notes
