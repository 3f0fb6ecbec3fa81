"""``search.json``: the record of a search in its folder."""

from __future__ import annotations

import json
from pathlib import Path

from advplug.errors import InvalidInput
from advplug.records.composition import Composition

NAME = "search.json"


def holds_search(folder: Path) -> bool:
    """Whether ``folder`` is that of a search."""
    return (folder / NAME).is_file()


def read_search(folder: Path) -> Composition:
    """The finished search in ``folder``.

    Raises
    ------
    InvalidInput: there is none, or its record is damaged or of another version.
    """
    path = folder / NAME
    if not path.is_file():
        raise InvalidInput(f"{folder} holds no {NAME}: name the folder that advplug search has written")
    try:
        return Composition.from_json(json.loads(path.read_text(encoding="utf-8")))
    except InvalidInput:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"{path} is damaged ({type(error).__name__}): search again") from error
