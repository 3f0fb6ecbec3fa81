"""Files and folders that a user names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.evaluation.storage.run_directory import RunDirectory


class UserPath(click.Path):
    """A path, given as :class:`pathlib.Path`: "" would be the working directory, and no file has a NUL in its name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what names nothing."""
        text = os.fsdecode(value)
        if not text.strip() or "\0" in text:
            option = param.get_error_hint(ctx) if param is not None and ctx is not None else "path"
            raise InvalidInput(f"{option} is {text!r}: name a file or folder")
        return super().convert(value, param, ctx)


def refuse_empty(**names: str | os.PathLike[str] | None) -> None:
    """Refuse an option that was given as "": the working directory, or what stands in without the option, is not meant.

    Raises
    ------
    InvalidInput: the message names the option.
    """
    for option, name in names.items():
        if name is not None and not os.fspath(name).strip():
            raise InvalidInput(f"--{option} is empty: name what is meant, or leave it out")


def refuse_overwriting(directory: RunDirectory, **files: str | os.PathLike[str] | None) -> None:
    """Refuse a run directory whose files are among ``files``, which the user gave by option; None was not given.

    Raises
    ------
    InvalidInput: a run would replace the file, or put its own folders among those of a folder of images.
    """
    for option, name in files.items():
        if name is None or "\0" in (text := os.fspath(name)):
            continue
        text = text.partition(":")[2] if option == "threat" else text
        path = Path(text)
        if text and directory.writes(path):
            raise InvalidInput(f"--{option} {text}: the run would replace that file: give another --out")
        if text and path.is_dir() and _among_classes(directory.path.resolve(), path.resolve()):
            raise InvalidInput(
                f"--{option} {text}: the run directory {directory.path} would pass for a class in that folder: give an "
                "--out elsewhere"
            )


def _among_classes(directory: Path, images: Path) -> bool:
    """Whether ``directory`` lies in a folder of images, one whose sub-folders are the classes, or is it."""
    from advplug.intake.image_folders import images_in

    if directory == images:
        return True
    folders = (folder for folder in images.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    return images in directory.parents and any(images_in(folder) for folder in folders)
