"""The TOML file behind ``advplug evaluate --config``: its fields, checked by pydantic."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from advplug.errors import InvalidInput, near

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_COMMAND_LINE = ("fresh", "json", "config")
"""Options that a file of settings has not: they concern one call."""


class Settings(BaseModel):
    """Fields are the options of the command, with ``_`` for ``-``; what stands on the command line wins."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | list[str] | None = None
    preset: str | None = None
    data: str | None = None
    threat: str | list[str] | None = None
    attacks: list[str] | None = None
    time_budget: str | PositiveInt | None = None
    losses: list[str] | None = None
    gradients: list[str] | None = None
    criterion: str | None = None
    restarts: PositiveInt | None = None
    targets: Literal["each"] | PositiveInt | None = None
    auxiliary: str | None = None
    bounds: tuple[float, float] | str | None = None
    mask: str | None = None
    surrogate: str | None = None
    output: str | NonNegativeInt | None = None
    limit: int | None = None
    seed: int | None = None
    device: str | None = None
    batch_size: PositiveInt | None = None
    epsilons: list[float | str] | None = None
    sweep: PositiveInt | None = None
    out: str | None = None
    report: bool | None = None
    track: str | None = None
    diagnose: Literal["quick", "full"] | None = None
    draws: PositiveInt | None = None
    fail_on: Literal["warn", "fail", "never"] | None = None
    sarif: str | None = None
    junit: str | None = None
    set: dict[str, dict[str, Any]] | None = None


def read(path: Path) -> dict[str, Any]:
    """The fields of the file as click takes them for defaults.

    Raises
    ------
    InvalidInput: no such file, no TOML, or a field that is unknown or of another type; the message names the field.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # undecodable bytes, no TOML, a number of 5000 digits
        raise InvalidInput(f"--config {path}: {error}") from error
    if isinstance(document.get("bounds"), list):
        document["bounds"] = tuple(document["bounds"])  # TOML has no tuples, and strict checks take no lists for them
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(map(_said, error.errors()))
        raise InvalidInput(f"--config {path}: {wrong}") from error
    fields = settings.model_dump(exclude_none=True)
    for name in ("threat", "attacks", "losses", "gradients", "bounds", "epsilons"):
        if isinstance(fields.get(name), list | tuple):
            fields[name] = ",".join(map(str, fields[name]))
    if "model" in fields:
        model = fields.pop("model")
        fields["models"] = [model] if isinstance(model, str) else model
    for name in ("targets", "output"):
        if name in fields:
            fields[name] = str(fields[name])
    chosen = fields.pop("set", {})
    fields["settings"] = [f"{attack}.{key}={pairs[key]!r}" for attack, pairs in chosen.items() for key in pairs]
    return fields


def _said(error: Mapping[str, Any]) -> str:
    """What pydantic finds wrong with a field."""
    field = ".".join(map(str, error["loc"]))
    if field in _COMMAND_LINE:
        return f"{field}: give --{field} on the command line"
    if error["type"] == "extra_forbidden":
        return f"{field}: no such field{near(field, Settings.model_fields)}"
    return f"{field}: {error['msg']}"
