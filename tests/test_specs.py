"""Specs refuse what cannot be a plugin, and load late."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import pytest

from advplug import AdaptiveSpec, AttackSpec, DatasetSpec, DefenseSpec
from advplug.errors import AdvplugError, InvalidSpec
from advplug.specs import split_key

FIELDS: dict[str, Any] = {"name": "ead", "factory": "fractions:Fraction", "summary": "one line", "reference": "2018"}


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (AttackSpec(**FIELDS), "attack:ead"),
        (DefenseSpec(**FIELDS), "defense:ead"),
        (AdaptiveSpec(**FIELDS, breaks="x"), "adaptive:ead"),
        (DatasetSpec(**FIELDS), "data:ead"),
    ],
)
def test_key_is_kind_and_name(spec: AttackSpec, key: str) -> None:
    assert spec.key == key
    assert spec.load() is Fraction
    assert (spec.api, spec.tags) == (1, frozenset())


@pytest.mark.parametrize("name", ["", "EAD", "e_ad", "-ead", "ead-", "e--ad", "e ad", "ead:x", "ead\n"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidSpec, match="lower-case letters, digits and single dashes"):
        AttackSpec(**{**FIELDS, "name": name})


@pytest.mark.parametrize("name", ["ead", "c-and-w", "2d", "pgd-40"])
def test_names_that_are_taken(name: str) -> None:
    assert AttackSpec(**{**FIELDS, "name": name}).name == name


@pytest.mark.parametrize("factory", ["", "module", "module.Class", ":Class", "module:", "module:a.b", "1m:a", "m:a:b"])
def test_factories_that_are_refused(factory: str) -> None:
    with pytest.raises(InvalidSpec, match=r"package\.module:attribute"):
        AttackSpec(**{**FIELDS, "factory": factory})


@pytest.mark.parametrize("summary", ["", "  ", "two\nlines"])
def test_summaries_are_one_line(summary: str) -> None:
    with pytest.raises(InvalidSpec, match="exactly one line"):
        AttackSpec(**{**FIELDS, "summary": summary})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3), ("factory", None), ("summary", b"one line"), ("reference", 2018), ("breaks", None),
        ("api", "1"), ("api", True), ("tags", {"linf"}), ("tags", None), ("tags", frozenset({1})),
        ("uses_attacks", "pgd"), ("uses_attacks", ["pgd"]), ("uses_attacks", (None,)),
    ],
)  # fmt: skip
def test_fields_of_another_type_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidSpec, match=rf"{field} of a plugin is .*(not of type|must be of type str)"):
        AdaptiveSpec(**{**FIELDS, "breaks": "x", field: value})


def test_specs_are_frozen_hashable_and_keyword_only() -> None:
    spec = AttackSpec(**FIELDS)
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]
    assert spec in {AttackSpec(**FIELDS)}
    with pytest.raises(TypeError):
        AttackSpec("ead")  # type: ignore[misc, call-arg]


def test_factory_is_imported_only_by_load() -> None:
    spec = AttackSpec(**{**FIELDS, "factory": "no_such_module:Attack"})
    with pytest.raises(ModuleNotFoundError):
        spec.load()


def test_errors_have_one_base_and_a_builtin_one() -> None:
    assert issubclass(InvalidSpec, AdvplugError)
    assert issubclass(InvalidSpec, ValueError)


def test_attacks_of_another_library_have_its_names() -> None:
    spec = AttackSpec(**{**FIELDS, "name": "foolbox:LinfPGD"}, library="foolbox")
    assert (spec.key, spec.bridged) == ("attack:foolbox:LinfPGD", True)
    assert not AttackSpec(**FIELDS).bridged
    for name in ("LinfPGD", "foolbox:linfPGD", "foolbox:", "fool box:PGD", "foolbox:LinfPGD:x", "foolbox", "fb:PGD\n"):
        with pytest.raises(InvalidSpec, match="write library:ClassName"):
            AttackSpec(**{**FIELDS, "name": name}, library="foolbox")
    with pytest.raises(InvalidSpec, match="single dashes"):
        AttackSpec(**{**FIELDS, "name": "foolbox:LinfPGD"})


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("ead", ("", "", "ead")),
        ("attack:ead", ("", "attack", "ead")),
        ("dist:attack:ead", ("dist", "attack", "ead")),
        ("attack:foolbox:LinfPGD", ("", "attack", "foolbox:LinfPGD")),
        ("dist:attack:foolbox:LinfPGD", ("dist", "attack", "foolbox:LinfPGD")),
        ("atack:ead", ("", "atack", "ead")),
        ("dist:atack:ead", ("dist", "atack", "ead")),
        ("attack", ("", "", "attack")),
    ],
)
def test_keys_are_taken_apart_at_the_kind(key: str, parts: tuple[str, str, str]) -> None:
    assert split_key(key, ("attack", "defense")) == parts
