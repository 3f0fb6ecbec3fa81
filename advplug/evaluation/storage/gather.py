"""Puts the records of several shares into one run directory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advplug.errors import InvalidInput
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.evaluation.storage.store import Tell, claimed
from advplug.records.files import replace_file

_SHARE = re.compile(r"shard-\d+-of-(\d+)$")


def shares_in(folder: Path) -> list[Path]:
    """The directories of the shares in ``folder``, in order."""
    found = [path for path in folder.glob("shard-*-of-*") if _SHARE.match(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])


def gather(shares: Sequence[Path], into: Path, tell: Tell) -> tuple[Mapping[str, Any], int]:
    """Copy what ``shares`` hold into the run directory ``into``; returns what was asked for, and of how many shares.

    Raises
    ------
    InvalidInput: there are none, one of them holds no record, they answer different commands or are of different cuts,
        or ``into`` cannot be written.
    """
    counts = {int(found.group(1)) for path in shares if (found := _SHARE.match(path.resolve().name))}
    if not shares or len(counts) != 1 or any(not _SHARE.match(path.resolve().name) for path in shares):
        raise InvalidInput(
            "give the directory that holds shard-1-of-n and so on, all of one n, or those directories themselves"
        )
    orders = [_order_of(path) for path in shares]
    for path, order in zip(shares, orders, strict=True):
        if order != orders[0]:
            raise InvalidInput(f"{path} answers another command than {shares[0]}: merge the shares of one command")
    with claimed(into, tell) as directory, directory.refusing():
        for path in shares:
            for file in RunDirectory(path).records():
                _copy(file, into / file.relative_to(path))
        directory.save_job(orders[0])
    return orders[0], counts.pop()


def _order_of(path: Path) -> Mapping[str, Any]:
    named = RunDirectory(path).load_job()
    if named is None:
        raise InvalidInput(f"{path} holds no share of a run: name a directory that --shard wrote")
    return named


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, lambda file: file.write_bytes(source.read_bytes()))
