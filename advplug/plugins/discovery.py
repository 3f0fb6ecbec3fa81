"""Where plugins come from: installed entry points, what blocks them, and what is known about each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

GROUP = "advplug"
"""Entry-point group that plugins register in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who brought a plugin: its distribution, entry point, folder, and the hooks it implements."""

    distribution: str
    version: str
    entry_point: str
    location: str = ""
    editable: bool = False
    hooks: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name under which pluggy knows the plugin; unique because two distributions may share an entry-point name."""
        return f"{self.distribution}:{self.entry_point}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that has not been imported yet; ``blocked_by`` names the variable that forbids it."""

    source: Provenance
    load: Callable[[], object]
    blocked_by: str | None = None


def canonical(name: str) -> str:
    """A distribution name in its normal form: lower case, runs of ``-_.`` as one dash."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> Iterator[Candidate]:
    """Every entry point of the group, ordered by distribution and name; imports none of them."""
    for source, load in sorted(_entry_points(), key=lambda pair: pair[0].label):
        yield Candidate(source, load, _blocked_by(source))


def given(plugins: Iterable[object]) -> Iterator[Candidate]:
    """Plugin objects (modules or instances) as candidates, named after their module or class; nothing blocks them."""
    names: dict[str, int] = {}
    for plugin in plugins:
        name = canonical(getattr(plugin, "__name__", type(plugin).__name__))
        names[name] = names.get(name, 0) + 1
        entry = name if names[name] == 1 else f"{name}-{names[name]}"
        source = Provenance(distribution=name, version="", entry_point=entry)
        yield Candidate(source, _loader(plugin))


def _loader(plugin: object) -> Callable[[], object]:
    return lambda: plugin


def _raiser(error: Exception) -> Callable[[], object]:
    def load() -> object:
        raise error

    return load


Found = tuple[Provenance, Callable[[], object]]


def _entry_points() -> list[Found]:
    try:
        return [(_describe(entry.dist, entry.name), entry.load) for entry in metadata.entry_points(group=GROUP)]
    except Exception:  # some distribution's entry_points.txt cannot be read: find out whose, and keep the others
        return list(_one_by_one())


def _one_by_one() -> Iterator[Found]:
    seen = set()
    for dist in metadata.distributions():
        found = _describe(dist, "entry_points.txt")
        if found.distribution in seen:  # shadowed by one that comes earlier on sys.path
            continue
        seen.add(found.distribution)
        try:
            for entry in dist.entry_points:
                if entry.group == GROUP:
                    yield replace(found, entry_point=entry.name), entry.load
        except Exception as error:
            yield found, _raiser(error)


def _describe(dist: metadata.Distribution | None, entry_point: str) -> Provenance:
    if dist is None:
        return Provenance(distribution="unknown", version="", entry_point=entry_point)
    fields: Any = {}
    with suppress(Exception):  # damaged metadata of one distribution must not hide the others
        fields = dist.metadata or {}
    folder = Path(str(getattr(dist, "_path", "unknown"))).name  # NAME-VERSION.dist-info
    location, editable = _location(dist)
    return Provenance(
        distribution=canonical(fields.get("Name") or folder.partition("-")[0]),
        version=fields.get("Version") or "",
        entry_point=entry_point,
        location=location,
        editable=editable,
    )


def _location(dist: metadata.Distribution) -> tuple[str, bool]:
    """Folder of the distribution, and whether it is an editable install (PEP 610 direct_url.json)."""
    with suppress(OSError, ValueError, KeyError, AttributeError):
        direct = json.loads(dist.read_text("direct_url.json") or "{}")
        if direct.get("dir_info", {}).get("editable"):
            return unquote(urlsplit(direct["url"]).path), True
    return str(dist.locate_file("")), False


def _blocked_by(source: Provenance) -> str | None:
    """The environment variable that forbids this plugin, None if it may load."""
    allowed = os.environ.get("ADVPLUG_PLUGINS")
    if allowed is not None and not _matches(source, allowed):
        return "ADVPLUG_PLUGINS"
    return "ADVPLUG_DISABLE" if _matches(source, os.environ.get("ADVPLUG_DISABLE", "")) else None


def _matches(source: Provenance, patterns: str) -> bool:
    """Whether a comma list of globs holds the entry-point or the distribution name."""
    return any(
        fnmatchcase(source.entry_point, pattern) or fnmatchcase(source.distribution, canonical(pattern))
        for pattern in map(str.strip, patterns.split(","))
        if pattern
    )
