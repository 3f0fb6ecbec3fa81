"""Faults of the disk and of stored files cost a row at most: the run goes on, says so, and mends what it finds."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from advplug import Recipe, ThreatModel, evaluate, load
from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.evaluation import model_job
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.records import Evaluation
from advplug.records.files import replace_file
from advplug.testing.linear import linear_model

NAMES = ["first", "second", "third"]
FULL = OSError(errno.ENOSPC, "No space left on device")


class Ran:
    """An evaluation with what it did: the attacks that ran, and the lines that it told."""

    def __init__(self, folder: Path, at_start: Callable[[str], object] = lambda name: None) -> None:
        model = linear_model(3, (1, 4, 4)).float()
        x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        recipes = [
            Recipe(name=name, attack=load("attack:pgd")(steps=steps), role="baseline")
            for steps, name in enumerate(NAMES, 2)
        ]
        job = model_job(
            "linear", model, Images(x, model(x).argmax(1)), ThreatModel("linf", 0.1), recipes, run_dir=folder
        )
        self.attacks: list[str] = []
        self.lines: list[str] = []

        def watch(name: str, done: int, total: int, alive: int) -> None:
            if total == 0:
                self.attacks.append(name)
                at_start(name)

        self.evaluation: Evaluation = evaluate(job, watch=watch, tell=self.lines.append)


def file_of(folder: Path, name: str, suffix: str = ".json") -> Path:
    """The file of one row."""
    (figures,) = (path for path in (folder / "rows").glob("*.json") if json.loads(path.read_text())["name"] == name)
    return figures.with_suffix(suffix)


def fail_on(monkeypatch: pytest.MonkeyPatch, part: str, times: int = 100) -> None:
    """Let the disk be full for every array file whose path has ``part``, so many times."""
    save, left = np.savez_compressed, [times]

    def full(file: Any, **arrays: Any) -> None:
        if part in str(file) and left[0]:
            left[0] -= 1
            Path(file).write_bytes(b"half")
            raise FULL
        save(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", full)


@pytest.mark.parametrize(
    ("part", "lost"),
    [
        ("rows", ["the row first", "the row second", "the row third"]),
        ("inputs", ["the evaluation"]),
        ("behaviours", ["behaviours"]),
    ],
)
def test_a_full_disk_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, lost: list[str]
) -> None:
    fail_on(monkeypatch, part)
    ran = Ran(tmp_path)
    assert [row.name for row in ran.evaluation.rows] == ran.attacks == NAMES
    assert [name.partition("/")[0] for name in ran.evaluation.unsaved] == lost
    line = ran.evaluation.not_saved
    assert line.startswith(f"not written into {tmp_path}: {lost[0]}")
    assert line.endswith("(No space left on device)")
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")], "nothing is left half-written"
    monkeypatch.undo()
    assert not Ran(tmp_path).evaluation.unsaved


def test_what_could_not_be_written_for_a_moment_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on(monkeypatch, "rows", times=2)
    assert not Ran(tmp_path).evaluation.unsaved
    assert not Ran(tmp_path).attacks


def test_a_folder_that_is_removed_in_the_middle_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ran = Ran(folder, at_start=lambda name: shutil.rmtree(folder) if name == "third" else None)
    assert not ran.evaluation.unsaved
    assert RunDirectory(folder).load().rows == ran.evaluation.rows
    assert not (folder / ".advplug.lock").exists()


def test_a_permission_that_is_lost_in_the_middle_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    lose = {"second": lambda: monkeypatch.setattr("tempfile.mkstemp", refuse)}
    ran = Ran(tmp_path, at_start=lambda name: lose.get(name, lambda: None)())
    assert len(ran.evaluation.rows) == len(NAMES)
    assert ran.evaluation.not_saved == (
        f"not written into {tmp_path}: the row second, the row third, the evaluation (Permission denied)"
    )
    monkeypatch.undo()
    assert Ran(tmp_path).attacks == ["second", "third"]


def test_a_damaged_row_that_cannot_be_replaced_is_not_called_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ran(tmp_path)
    without_arrays(tmp_path)
    fail_on(monkeypatch, "rows")
    assert list(Ran(tmp_path).evaluation.unsaved) == ["the row second"]


def test_without_a_listener_a_lost_row_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_on(monkeypatch, "rows")
    x = torch.rand(4, 1, 4, 4)
    model = linear_model(3, (1, 4, 4)).float()
    recipe = Recipe(name="pgd", attack=load("attack:pgd")(steps=2), role="baseline")
    job = model_job("linear", model, Images(x, model(x).argmax(1)), ThreatModel("linf", 0.1), [recipe])
    with pytest.warns(UserWarning, match=r"not written into .*: the row pgd \(No space left on device\)"):
        evaluate(replace(job, run_dir=tmp_path))


def cut(folder: Path) -> None:
    path = file_of(folder, "second", ".npz")
    path.write_bytes(path.read_bytes()[:100])


def without_arrays(folder: Path) -> None:
    file_of(folder, "second", ".npz").unlink()


def rewrite(folder: Path, change: Callable[[Any], Any], *, plain: bool = False) -> None:
    """Change the figures of the second row; ``plain`` as an earlier version wrote them, which took no digest."""
    path = file_of(folder, "second")
    document = json.loads(path.read_text())
    if plain:
        del document["digest"]
    path.write_text(json.dumps(change(document)))


def arrays_of(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = file_of(folder, "second", ".npz")
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    rewrite(folder, lambda document: document, plain=True)
    np.savez_compressed(path, **change(arrays))


def taken_from_the_first(folder: Path, suffix: str) -> None:
    shutil.copy(file_of(folder, "first", suffix), file_of(folder, "second", suffix))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "arrays cut": cut,
    "arrays gone": without_arrays,
    "figures cut": lambda folder: file_of(folder, "second").write_text("{"),
    "figures empty": lambda folder: file_of(folder, "second").write_bytes(b""),
    "no object": lambda folder: rewrite(folder, lambda document: [1, 2]),
    "another shape": lambda folder: rewrite(folder, lambda document: {"name": "second"}),
    "no number": lambda folder: rewrite(folder, lambda d: {**d, "robust_accuracy": "all"}, plain=True),
    "no share": lambda folder: rewrite(folder, lambda d: {**d, "robust_accuracy": 3}, plain=True),
    "no finite number": lambda folder: rewrite(folder, lambda d: {**d, "seconds": float("inf")}, plain=True),
    "no name": lambda folder: rewrite(folder, lambda d: {**d, "library": None}, plain=True),
    "no curve": lambda folder: rewrite(folder, lambda d: {**d, "shrunk": [["a", 1]]}, plain=True),
    "another figure": lambda folder: rewrite(folder, lambda d: {**d, "robust_accuracy": 0.125}),
    "another row's arrays": lambda folder: taken_from_the_first(folder, ".npz"),
    "an unknown field": lambda folder: rewrite(folder, lambda d: {**d, "colour": 1}, plain=True),
    "other lengths": lambda folder: arrays_of(folder, lambda a: {**a, "success": a["success"][:5]}),
    "other inputs": lambda folder: arrays_of(
        folder, lambda a: {n: v[:, :5] if n == "trace" else v[:5] for n, v in a.items()}
    ),
    "an array missing": lambda folder: arrays_of(folder, lambda a: {n: v for n, v in a.items() if n != "target"}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_is_computed_again_alone(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    first = Ran(tmp_path).evaluation
    damage(tmp_path)
    again = Ran(tmp_path)
    assert again.attacks == ["second"]
    (line,) = again.lines
    assert line.startswith("the row second (")
    assert line.endswith(": it is computed again, alone")
    assert "--fresh" not in line
    robust = [row.robust_accuracy for row in first.rows]
    assert [row.robust_accuracy for row in again.evaluation.rows] == robust
    third = Ran(tmp_path)
    assert (third.attacks, third.lines) == ([], [])
    assert [row.robust_accuracy for row in RunDirectory(tmp_path).load().rows] == robust


def test_a_row_with_another_ones_content_is_foreign(tmp_path: Path) -> None:
    Ran(tmp_path)
    first, second = file_of(tmp_path, "first"), file_of(tmp_path, "second")
    for suffix in (".json", ".npz"):
        shutil.copy(first.with_suffix(suffix), second.with_suffix(suffix))
    with pytest.raises(InvalidInput, match=rf"the row second .* it holds the row {first.stem}\): the same command"):
        RunDirectory(tmp_path).load()
    again = Ran(tmp_path)
    assert again.attacks == ["second"]
    assert f"it holds the row {first.stem}" in again.lines[0]


@pytest.mark.parametrize("name", [name for name in DAMAGE if name != "other inputs"])
def test_a_report_names_the_damaged_row_and_how_it_is_mended(tmp_path: Path, name: str) -> None:
    Ran(tmp_path)
    DAMAGE[name](tmp_path)
    with pytest.raises(InvalidInput, match=r"the row second \(.*: the same command again mends it") as caught:
        RunDirectory(tmp_path).load()
    assert "\n" not in str(caught.value)


def test_a_row_that_is_gone_is_named(tmp_path: Path) -> None:
    Ran(tmp_path)
    file_of(tmp_path, "second").unlink()
    with pytest.raises(InvalidInput, match=r"the row second \(.* is missing: the same command again mends it"):
        RunDirectory(tmp_path).load()
    assert Ran(tmp_path).attacks == ["second"]


def test_a_row_without_a_digest_is_one_of_an_earlier_version(tmp_path: Path) -> None:
    Ran(tmp_path)
    rewrite(tmp_path, lambda document: {n: v for n, v in document.items() if n != "key"}, plain=True)
    again = Ran(tmp_path)
    assert (again.attacks, again.lines) == ([], [])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("evaluation.json", '{"schema_version": 0}'),
        ("evaluation.json", "[]"),
        ("evaluation.json", '{"schema_version": 2}'),
        ("evaluation.json", ""),
        ("inputs.npz", "PK"),
        ("inputs.npz", None),
    ],
)
def test_the_same_command_mends_the_files_of_the_whole_run(tmp_path: Path, file: str, content: str | None) -> None:
    Ran(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(InvalidInput, match=r"the same command again mends it"):
        RunDirectory(tmp_path).load()
    assert Ran(tmp_path).attacks == []
    assert len(RunDirectory(tmp_path).load().rows) == len(NAMES)


EDITS: list[tuple[str, Any]] = [
    ("case", None), ("preset", 1), ("threat", "x"), ("threat", 3), ("threat", "l7:0.1"), ("samples", "x"),
    ("samples", 3), ("samples", True), ("clean_accuracy", None), ("clean_accuracy", -1), ("clean_accuracy", 1e300),
    ("clean_accuracy", float("nan")), ("clean_error_rate", []), ("false_positives", {}), ("claim", [1]),
    ("lesson", float("inf")), ("environment", [1]), ("environment", {"versions": 1}),
    ("environment", {"plugins": {"a": 1}}), ("class_names", [1]), ("keys", [1, 2, 3]), ("keys", None),
    ("findings", [1]), ("rows", {"a": 1}),
]  # fmt: skip


def test_an_edited_evaluation_is_named_and_mended(tmp_path: Path) -> None:
    Ran(tmp_path)
    path = tmp_path / "evaluation.json"
    whole = json.loads(path.read_text())
    for name, value in EDITS:
        path.write_text(json.dumps({**whole, name: value}))
        with pytest.raises(InvalidInput, match=r"is damaged \(.*: the same command again mends it") as caught:
            RunDirectory(tmp_path).load()
        assert "\n" not in str(caught.value)
    assert Ran(tmp_path).attacks == []
    assert len(RunDirectory(tmp_path).load().rows) == len(NAMES)


INPUTS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "fewer inputs": lambda inputs, labels: (inputs[:3], labels),
    "fewer labels": lambda inputs, labels: (inputs, labels[:3]),
    "fewer samples": lambda inputs, labels: (inputs[:3], labels[:3]),
    "other images": lambda inputs, labels: (np.zeros((12, 3, 9, 9), np.float32), labels),
    "no numbers": lambda inputs, labels: (inputs * np.nan, labels),
    "texts": lambda inputs, labels: (inputs.astype(str), labels),
    "one number": lambda inputs, labels: (np.float64(3), np.float64(3)),
    "negative labels": lambda inputs, labels: (inputs, -1 - labels),
}


def test_inputs_of_another_run_are_refused(tmp_path: Path) -> None:
    Ran(tmp_path)
    index, path = tmp_path / "evaluation.json", tmp_path / "inputs.npz"
    with np.load(path) as stored:
        inputs, labels = stored["inputs"], stored["labels"]
    np.savez_compressed(path, inputs=inputs, labels=labels + 50)
    with pytest.raises(InvalidInput, match=r"inputs.npz is damaged \(.*it is of another run, or was changed"):
        RunDirectory(tmp_path).load()
    document = json.loads(index.read_text())
    del document["inputs_digest"]  # as an earlier version wrote it
    index.write_text(json.dumps(document))
    assert len(RunDirectory(tmp_path).load().labels) == 12
    for change in INPUTS.values():
        left, right = change(inputs, labels)
        np.savez_compressed(path, inputs=left, labels=right)
        with pytest.raises(InvalidInput, match=r"inputs.npz is damaged \(ValueError"):
            RunDirectory(tmp_path).load()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"[]"])
def test_damaged_answers_of_a_model_are_named_and_written_again(tmp_path: Path, content: bytes) -> None:
    Ran(tmp_path)
    (path,) = (tmp_path / "behaviours").glob("*.npz")
    path.write_bytes(content)
    again = Ran(tmp_path)
    (line,) = again.lines
    assert line.startswith(f"{path} is damaged (")
    assert again.attacks == [], "the same answers have the same name"
    assert Ran(tmp_path).lines == []


def test_answers_of_another_shape_are_damaged(tmp_path: Path) -> None:
    Ran(tmp_path)
    (path,) = (tmp_path / "behaviours").glob("*.npz")
    np.savez_compressed(path, scores=np.zeros(3))
    assert "an array is missing" in Ran(tmp_path).lines[0]


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full disk", "interrupt"])
def test_a_write_that_fails_leaves_the_earlier_file_and_no_other(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "figures.json"
    replace_file(path, lambda file: file.write_text("earlier"))

    def fail(file: Path) -> None:
        file.write_text("half")
        raise error

    with pytest.raises(type(error)):
        replace_file(path, fail)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bool]] = []
    path, sync = tmp_path / "figures.json", os.fsync

    def fsync(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(path, lambda file: file.write_text("new"))
    assert synced == [(False, False), (True, True)], "the file before the renaming, the folder after it"
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    Ran(tmp_path)
    key = "0123456789abcdef"
    for name in (".evaluation.json.a.part.json", f"rows/.{key}.npz.a.part.npz", f"behaviours/.{key}.npz.a.part.npz"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".mine.part.txt").write_text("note")
    again = Ran(tmp_path)
    assert (again.attacks, again.lines) == ([], [])
    assert [path.name for path in tmp_path.rglob(".*")] == [".mine.part.txt"]
