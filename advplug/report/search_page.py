"""The page of a search for an adaptive attack, and the same as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from advplug.composition.handover import command_of, python_of
from advplug.evaluation.diagnostics.signs import percent
from advplug.records.composition import Composition
from advplug.records.files import replace_file
from advplug.report import search_words as words
from advplug.report.markdown import table
from advplug.report.page import shown
from advplug.report.search_drawing import CAPTION, drawing
from advplug.report.search_trials import trials_picture
from advplug.report.templates import filled, written

PAGE, TEXT = "search.html", "search.md"

TRIAL_HEAD = (
    "trial", "sentence", "attack", "loss", "gradient", "targets", "samples", "broken", "margin left", "passes", "kept",
)  # fmt: skip


class Told(NamedTuple):
    """A sentence with its four choices and what runs it."""

    choices: list[tuple[str, str]]
    command: str
    python: str


def write_search_report(composition: Composition, folder: Path) -> Path:
    """Write ``search.html`` and ``search.md`` into ``folder``, each whole or not at all; return where the page is.

    Raises
    ------
    OSError: the folder cannot be written to.
    """
    page = written(render(composition), folder / PAGE)
    replace_file(folder / TEXT, lambda file: file.write_text(search_markdown(composition), encoding="utf-8"))
    return page


def render(search: Composition) -> str:
    """The page as HTML."""
    return filled(
        "search.html.j2",
        title=f"Search on {search.model} under {search.threat}",
        search=search,
        verdict=words.verdict(search),
        cost=words.cost(search),
        tiles=_tiles(search),
        head=words.LEFT_HEAD,
        lines=words.left_lines(search),
        halves=words.HALVES,
        sentences=_told(search),
        drawing=drawing(search.places),
        drawn=CAPTION,
        picture=shown(trials_picture(search)),
        trial_head=TRIAL_HEAD,
        trials=words.trial_lines(search),
    )


def search_markdown(search: Composition) -> str:
    """Everything that the page says in words."""
    parts = [
        f"# Search on {search.model} under {search.threat}",
        words.verdict(search),
        words.cost(search),
        search.remark if search.sentences else "",
        table(words.LEFT_HEAD, words.left_lines(search), texts=1),
        words.HALVES,
    ]
    for number, told in enumerate(_told(search), 1):
        parts += [f"## Sentence {number}", table(("choice", "what"), told.choices)]
        parts += [f"```sh\n{told.command}\n```", f"```python\n{told.python}\n```"]
    places = [(place.module or "the whole model", place.type, place.kind, place.note) for place in search.places]
    parts += ["## What the trace found", table(("module", "type", "what", "note"), places) if places else "Nothing."]
    if search.trials:
        parts += ["## Best trials", table(TRIAL_HEAD, words.trial_lines(search), texts=6)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _told(search: Composition) -> list[Told]:
    return [Told(words.choices(one), command_of(one, search), python_of(one, search)) for one in search.sentences]


def _tiles(search: Composition) -> list[tuple[str, str, float | None, str]]:
    """The figures at the top: name of the colour, what it is, the share (None for none), its text."""
    whole = search.together
    tiles: list[tuple[str, str, float | None, str]] = [
        ("clean", "no attack", whole.clean, percent(whole.clean)),
        ("baseline", "after standard", whole.standard, percent(whole.standard)),
    ]
    if search.sentences:
        tiles.append(("adaptive", "after the search", whole.search, percent(whole.search)))
        tiles.append(("adaptive", "held-out half", search.held_out.search, percent(search.held_out.search)))
    if words.multiple(search):
        tiles.append(("all", "passes of standard", None, f"{words.multiple(search)} x"))
    return tiles
