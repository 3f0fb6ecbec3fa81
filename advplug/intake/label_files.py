"""Labels that stand in a file beside images, such as ``labels.csv``, ``annotations.csv``, ``val.txt``, ``labels.json``.

A table has a header with one of the columns in ``FILE_COLUMNS`` and one of those in ``LABEL_COLUMNS``, or two columns
without one. JSON is an object of names and labels, or a list of pairs. Images are named by path, file name or stem.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from advplug.errors import InvalidInput

FILE_COLUMNS = {"file", "filename", "file_name", "image", "image_id", "name", "path"}
LABEL_COLUMNS = {"label", "class", "target", "category"}

_NAME = re.compile(
    r"(?:.*[_.-])?(?:labels?|annotations?)\.(?:csv|tsv|txt|jsonl?|xml|xlsx?|ya?ml|mat|np[yz]|pkl|parquet)"
    r"|(?:metadata|train|val|test)\.(?:csv|tsv|txt)",
    re.IGNORECASE,
)
_MISSING = ("", "nan")
"""Labels that are none; pandas writes either."""

_TABLES = {".csv", ".tsv", ".txt"}

Rows = list[tuple[str, str]]
"""Name of an image and its label, as they are written."""


@dataclass(frozen=True)
class Labels:
    """Labels of some images: class numbers in their order, and the class names if the file holds names."""

    numbers: list[int]
    names: tuple[str, ...]


def label_files(folder: Path) -> list[Path]:
    """The files of ``folder`` that by their name hold the labels of images."""
    return sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name) and file.is_file())


def names_any(path: Path, images: Sequence[Path], root: Path) -> bool:
    """Whether the label file names one of the images below ``root``; not if it cannot be read."""
    try:
        known = {name for name, _ in _rows(path, images, root)}
    except InvalidInput:
        return False
    return any(key in known for image in images for key in _keys(image, root))


def read_labels(path: Path, images: Sequence[Path], root: Path) -> Labels:
    """The labels of ``images``, which lie below ``root``; names are numbered in alphabetical order.

    Raises
    ------
    InvalidInput: another form, no label for one of the images or two of them, numbers that are no classes.
    """
    rows = _rows(path, images, root)
    texts: dict[str, str] = {}
    for name, label in rows:
        if label.lower() in _MISSING:
            raise InvalidInput(f"{path}: the label of {name} is {label or 'empty'}: add it, or leave the line out")
        if texts.setdefault(name, label) != label:
            raise InvalidInput(f"{path}: {name} is labelled {texts[name]} and {label}: give one class for each image")
    numbers = _numbers(path, set(texts.values()))
    found: list[int] = []
    owner: dict[str, Path] = {}
    for image in images:
        key = next((key for key in _keys(image, root) if key in texts), None)
        if key is None:
            raise InvalidInput(f"{path} has no label for {image.relative_to(root)}: add it, or move the image away")
        if owner.setdefault(key, image) != image:
            raise InvalidInput(f"{path}: {key} means {owner[key]} and {image}: write the folder before the name")
        found.append(numbers[texts[key]])
    named = not all(_number(label) is not None for label in numbers)
    return Labels(found, tuple(sorted(numbers)) if named else ())


def _keys(image: Path, root: Path) -> tuple[str, ...]:
    """The names that may stand for an image, the most exact first."""
    inside = PurePosixPath(image.relative_to(root).as_posix())
    return str(inside), inside.name, str(inside.with_suffix("")), inside.stem


def _rows(path: Path, images: Sequence[Path], root: Path) -> Rows:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    if path.suffix.lower() == ".json":
        rows = _json_rows(path, text)
    elif path.suffix.lower() in _TABLES:
        known = {key for image in images for key in _keys(image, root)}
        rows = _table_rows(path, text, known)
    else:
        raise _unreadable(path, "it is none of .csv, .tsv, .txt and .json")
    if not rows:
        raise _unreadable(path, "it is empty")
    return [(name.strip().removeprefix("./").replace("\\", "/"), label.strip()) for name, label in rows]


def _unreadable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"{path} is no list of images and labels ({why}): give columns file and label, or move it out of the folder"
    )


def _json_rows(path: Path, text: str) -> Rows:
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    entries = list(content.items()) if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise _unreadable(path, "it is neither an object nor a list")
    return [_json_row(path, entry) for entry in entries]


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, whose names stand in it once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _json_row(path: Path, entry: object) -> tuple[str, str]:
    if isinstance(entry, dict):
        entry = (entry[_column(path, entry, FILE_COLUMNS)], entry[_column(path, entry, LABEL_COLUMNS)])
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise _unreadable(path, "an entry is no pair")
    name, label = entry
    if not isinstance(name, str) or isinstance(label, bool) or not isinstance(label, str | int | float):
        raise _unreadable(path, f"an entry is {name!r}: {label!r}"[:80])
    return name, str(label)


def _table_rows(path: Path, text: str, known: set[str]) -> Rows:
    """Rows below the header; without one, a first line that names no image and is followed by numbers is refused."""
    try:
        table = [row for row in _split(path, text) if row]
    except csv.Error as error:
        raise _unreadable(path, str(error)) from error
    if not table:
        return []
    head = [cell.strip().lower() for cell in table[0]]
    if FILE_COLUMNS & set(head) and LABEL_COLUMNS & set(head):
        columns = [head.index(_column(path, head, wanted)) for wanted in (FILE_COLUMNS, LABEL_COLUMNS)]
        _check_width(path, table, len(head))
        return [(row[columns[0]], row[columns[1]]) for row in table[1:]]
    if len(head) != 2:
        raise _unreadable(path, f"its columns are {', '.join(table[0])}"[:100])
    _check_width(path, table, 2)
    first, label = (cell.strip() for cell in table[0])
    if _number(label) is None and first.removeprefix("./") not in known:
        raise _unreadable(path, f"its first line is {first}, {label}"[:100])
    return [(row[0], row[1]) for row in table]


def _split(path: Path, text: str) -> Iterable[list[str]]:
    """The cells of each line: at commas, semicolons or tabs; in a .txt file without any, at the last blank."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((mark for mark in (",", ";", "\t") if mark in first), None)
    if delimiter is None and path.suffix.lower() == ".txt":
        return [line.rsplit(maxsplit=1) for line in lines]
    return csv.reader(lines, delimiter=delimiter or ",", skipinitialspace=True)


def _check_width(path: Path, table: list[list[str]], width: int) -> None:
    for row in table:
        if len(row) != width:
            raise _unreadable(path, f"a line has {len(row)} columns, the first has {width}")


def _column(path: Path, columns: Iterable[str], wanted: set[str]) -> str:
    """The one of ``columns`` that is ``wanted``."""
    columns = list(columns)
    found = [column for column in columns if column.lower() in wanted]
    if len(found) != 1:
        raise _unreadable(path, f"its columns are {', '.join(columns)}"[:100])
    return found[0]


def _numbers(path: Path, labels: set[str]) -> dict[str, int]:
    """The class of each label."""
    numbers = {label: _number(label) for label in labels}
    if all(number is None for number in numbers.values()):
        return {label: place for place, label in enumerate(sorted(labels))}
    for label, number in sorted(numbers.items()):
        if number is None or not 0 <= number < math.inf or number != int(number):
            raise InvalidInput(f"{path}: the label {label!r} is no class: give class numbers from 0, or names alone")
    return {label: int(number) for label, number in numbers.items() if number is not None}


def _number(label: str) -> float | None:
    """``label`` as a number, None if it is none."""
    return float(label) if re.fullmatch(r"[+-]?\d+(\.\d*)?", label) else None
