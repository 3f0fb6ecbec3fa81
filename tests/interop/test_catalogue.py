"""What the bridges tell of another library without importing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from advplug.interop.catalogue import Catalogue, Entry, exported

INIT = """
import importlib
from .base import Attack
from .pgd import LinfProjectedGradientDescent, Other
from library.attacks.deep import (
    DeepFool as Deep,
)
from elsewhere import Helper
if importlib.util.find_spec("numba") is not None:
    from library.attacks.bethge import Bethge

LinfPGD = LinfProjectedGradientDescent
PGD = LinfPGD
number = 3
raise RuntimeError("never run")
"""
KNOWN = Entry(summary="One step", reference="They, 2020", norms=("l2",), budget="minimum-norm", access="score-based")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library" / "attacks").mkdir(parents=True)
    (tmp_path / "library" / "__init__.py").write_text("raise RuntimeError('never run')")
    (tmp_path / "library" / "attacks" / "__init__.py").write_text(INIT)
    monkeypatch.syspath_prepend(str(tmp_path))


def catalogue(package: str = "library.attacks") -> Catalogue:
    return Catalogue(
        library="library",
        title="The Library",
        prefix="library",
        package=package,
        factory="bridge.module",
        entries={"Deep": KNOWN, "Gone": KNOWN},
        left_out={"Attack": "", "Other": "speech"},
    )


def test_names_are_read_and_nothing_is_run(library: None) -> None:
    names = exported("library.attacks")
    assert list(names) == ["Attack", "Bethge", "Deep", "LinfPGD", "Other"]
    assert {name: kind for name, kind in names.items() if name != kind} == {"LinfPGD": "LinfProjectedGradientDescent"}
    assert "library" not in sys.modules


def test_specs_say_what_is_declared_and_list_what_is_not(library: None) -> None:
    specs = {spec.name: spec for spec in catalogue().specs()}
    assert list(specs) == ["library:Bethge", "library:Deep", "library:LinfPGD"]
    deep = specs["library:Deep"]
    assert (deep.summary, deep.factory, deep.library) == ("One step", "bridge.module:Deep", "library")
    assert deep.tags == {"l2", "minimum-norm", "score-based"}
    assert specs["library:LinfPGD"].tags == frozenset()
    assert specs["library:LinfPGD"].summary == "LinfPGD of The Library, LinfProjectedGradientDescent"


@pytest.mark.parametrize("package", ["surely_absent.attacks", "library.absent", "library.attacks.absent"])
def test_what_is_not_installed_is_said(library: None, package: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"has no package {package}"):
        catalogue(package).specs()


def test_a_folder_is_no_installed_package(library: None, tmp_path: Path) -> None:
    (tmp_path / "surely_a_folder").mkdir()
    for needs, there in (("surely_a_folder", False), ("surely_absent", False), ("json", True), ("", True)):
        entry = Entry(summary="s", reference="r", norms=("l2",), budget="fixed", access="white-box", needs=needs)
        assert entry.installed is there


def test_listing_the_bridges_imports_no_library() -> None:
    for bridge in ("advplug_attack_foolbox", "advplug_attack_art"):
        pytest.importorskip(bridge)
    program = (
        "import sys; from advplug.cli import run; code = run(['list', '--all']); "
        "heavy = {'torch', 'numpy', 'foolbox', 'art', 'eagerpy', 'rich'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("attack:foolbox:LinfPGD ", "attack:foolbox:L2DeepFoolAttack ", "attack:art:SquareAttack "):
        assert name in done.stdout
