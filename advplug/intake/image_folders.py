"""A folder of images: where its files lie, and which labels they have."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from advplug.errors import InvalidInput
from advplug.intake.arrays import MOST
from advplug.intake.label_files import Labels, label_files, names_any, read_labels
from advplug.intake.pictures import SUFFIXES, Bytes, read_pictures

NUMBER = re.compile(r"(?:^|.*[^0-9])([0-9]+)")


def read_folder(path: Path, warn: Callable[[str], object]) -> tuple[Bytes, npt.NDArray[Any], tuple[str, ...]]:
    """Pixels uint8 (N, H, W, C), labels int64 (N,) and class names of a folder; see :func:`.user_images.read_images`.

    Raises
    ------
    InvalidInput: no images, or no labels for them; or another form.
    """
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    inside = [file for folder in folders for file in images_in(folder)]
    loose = images_in(path)
    if not inside and not loose:
        _warn_of_left_out(path, set(), warn)
        raise InvalidInput(f"{path}: no images ({', '.join(sorted(SUFFIXES))}) in the folder or its sub-folders")
    _warn_of_left_out(path, {*inside, *loose}, warn)
    lists = label_files(path)
    if len(lists) > 1:
        raise InvalidInput(f"{path}: {_names(lists)} may both hold the labels: move all but one away")
    files = inside + loose
    if lists:
        labels = _of_list(lists[0], files, path, warn)
    elif inside:
        files, labels = inside, _of_folders(path, folders, warn)
        if loose:
            warn(f"{path}: {len(loose)} images beside the class folders are left out, such as {loose[0].name}")
    else:
        labels = _of_file_names(path, files, warn)
    if max(labels.numbers) > MOST:
        raise InvalidInput(f"{path}: the label {max(labels.numbers)} of an image is no class: classes are 0 to K - 1")
    return read_pictures(files), np.array(labels.numbers, dtype=np.int64), labels.names


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder in alphabetical order."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def _warn_of_left_out(path: Path, taken: set[Path], warn: Callable[[str], object]) -> None:
    """One line each about images deeper than a class folder, and about links that lead nowhere."""
    others = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file not in taken]
    others = [file for file in others if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    deeper = [file for file in others if file.is_file()]
    dangling = [file for file in others if file.is_symlink() and not file.exists()]
    for files, what in ((deeper, "images in deeper folders"), (dangling, "links that lead nowhere")):
        if files:
            warn(f"{path}: {len(files)} {what} are left out, such as {files[0].relative_to(path)}")


def _of_folders(path: Path, folders: list[Path], warn: Callable[[str], object]) -> Labels:
    if len(folders) == 1:
        raise InvalidInput(
            f"{path}: {folders[0].name} is the only sub-folder and would be the only class: put the images of each "
            "class into a sub-folder, add labels.csv with columns file and label, or name the folder itself if its "
            "file names end in _LABEL"
        )
    numbered = all(folder.name.isdecimal() for folder in folders)
    owner: dict[int, Path] = {}
    for folder in folders if numbered else ():
        if owner.setdefault(int(folder.name), folder) is not folder:
            raise InvalidInput(f"{path}: {owner[int(folder.name)].name} and {folder.name} are one class: merge them")
    numbers = []
    for place, folder in enumerate(folders):
        number = int(folder.name) if numbered else place
        count = len(images_in(folder))
        if not count:
            warn(f"{folder} holds no image: class {number} has none, and the classes after it keep their numbers")
        numbers += [number] * count
    return Labels(numbers, () if numbered else tuple(folder.name for folder in folders))


def _of_file_names(path: Path, files: list[Path], warn: Callable[[str], object]) -> Labels:
    """The labels in a list that lies beside the folder and names its images; else the last numbers of their names."""
    above = path.resolve().parent
    placed = [path.resolve() / file.name for file in files]
    lists = [found for found in label_files(above) if names_any(found, placed, above)]
    if len(lists) > 1:
        raise InvalidInput(f"{path}: {_names(lists)} beside it name the same images: move all but one away")
    if lists:
        return _of_list(lists[0], placed, above, warn)
    labels = Labels([_label_in_name(file) for file in files], ())
    warn(f"{path}: labels are the last numbers of the file names: {files[0].name} is of class {labels.numbers[0]}")
    return labels


def _of_list(path: Path, files: list[Path], root: Path, warn: Callable[[str], object]) -> Labels:
    labels = read_labels(path, files, root)
    warn(f"labels are read from {path}")
    return labels


def _names(files: list[Path]) -> str:
    return " and ".join(file.name for file in files)


def _label_in_name(file: Path) -> int:
    found = NUMBER.fullmatch(file.stem)
    if found is None:
        raise InvalidInput(
            f"{file}: put images in one sub-folder per class, end the name in _LABEL, or add labels.csv with columns "
            "file and label"
        )
    return int(found[1])
