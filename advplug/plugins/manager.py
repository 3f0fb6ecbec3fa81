"""Finds plugins by name: which specs there are, who brought them, and who owns a contested name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal, overload

from advplug import hookspecs
from advplug.errors import COMPUTING, AdvplugError, BrokenPlugin, InvalidSpec, UnknownPlugin, nearest
from advplug.plugins.discovery import Provenance, canonical, given, installed
from advplug.plugins.host import Host, PluginFailure, describe
from advplug.plugins.names import Claim, Claims, owner
from advplug.specs import (
    AdaptiveSpec,
    AttackSpec,
    CriterionSpec,
    DatasetSpec,
    DefenseSpec,
    GradientSpec,
    LossSpec,
    PluginSpec,
    TrackerSpec,
    split_key,
)

COLLECTING: dict[str, type[PluginSpec]] = {
    "advplug_attacks": AttackSpec,
    "advplug_defenses": DefenseSpec,
    "advplug_adaptive": AdaptiveSpec,
    "advplug_datasets": DatasetSpec,
    "advplug_trackers": TrackerSpec,
    "advplug_losses": LossSpec,
    "advplug_gradients": GradientSpec,
    "advplug_criteria": CriterionSpec,
}
"""The hooks that bring plugins, and the type of spec each one brings."""

KINDS = tuple(spec.kind for spec in COLLECTING.values())

_SILENT = {"import", "register", "hooks", *COLLECTING}
"""Stages at which a plugin fails before it has said what it brings."""


class Manager(Host):
    """The plugins of one host.

    Parameters
    ----------
    plugins: plugin modules or objects to register; None takes the installed entry points, less those that
        ``ADVPLUG_DISABLE`` (comma list of entry-point or distribution names, globs allowed) or ``ADVPLUG_PLUGINS``
        (allow-list, "" for none) keep from being imported.
    """

    def __init__(self, plugins: Iterable[object] | None = None) -> None:
        super().__init__()
        self._claims = Claims()
        for candidate in installed() if plugins is None else given(plugins):
            self.register(candidate)
        self._collect_specs()

    @overload
    def specs(self, kind: Literal["adaptive"]) -> tuple[AdaptiveSpec, ...]: ...
    @overload
    def specs(self, kind: str | None = None) -> tuple[PluginSpec, ...]: ...
    def specs(self, kind: str | None = None) -> tuple[PluginSpec, ...]:
        """The specs of ``kind`` (all if None) that their short name finds, by kind and name.

        Raises
        ------
        UnknownPlugin: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise UnknownPlugin(f"no kind of plugin {kind!r}: choose one of {', '.join(KINDS)}")
        found = (spec for key, (spec, _) in sorted(self._claims.found.items()) if key == spec.key)
        return tuple(spec for spec in found if kind in (None, spec.kind))

    def find(self, key: str) -> PluginSpec:
        """The spec named ``kind:name``, or ``distribution:kind:name`` where two claim a name.

        Raises
        ------
        UnknownPlugin: nothing has that name; the message proposes the nearest one and the install command.
        BrokenPlugin: its distribution is installed but failed to load, or two distributions claim the name.
        """
        return self._lookup(key)[0]

    def provenance(self, key: str) -> Provenance:
        """Who brought the plugin ``key``; takes and raises what :meth:`find` does."""
        return self._lookup(key)[1]

    @property
    def errors(self) -> list[PluginFailure]:
        """The failures that cost a plugin something, without the warnings."""
        return [failure for failure in self.failures if failure.severity == "error"]

    def load(self, key: str) -> Any:
        """Import what the factory of plugin ``key`` names, an attack class for instance.

        Raises
        ------
        UnknownPlugin, BrokenPlugin: as :meth:`find`; BrokenPlugin also if the import fails.
        """
        spec, source = self._lookup(key)
        try:
            with self.importing(source, "factory"):
                return spec.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            missing = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in COMPUTING
            remedy = "pip install 'advplug[torch]'" if missing else "advplug doctor shows the traceback"
            raise BrokenPlugin(f"{key} could not be imported ({describe(error)}): {remedy}") from error

    def check(self) -> None:
        """Import every factory (torch included), look up what adaptive attacks rely on; record what fails."""
        for spec, source in self._unique():
            stage = "factory"
            try:
                with self.importing(source, stage):
                    spec.load()
                stage = "pair"
                if isinstance(spec, AdaptiveSpec):
                    for key in (f"defense:{spec.breaks}", *(f"attack:{name}" for name in spec.uses_attacks)):
                        self.find(key)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.fail(source, stage, error)

    def _collect_specs(self) -> None:
        claims: dict[str, list[Claim]] = {}
        for hook, kind in COLLECTING.items():
            for source, items in self.collect_each(hook):
                for spec in items:
                    try:
                        _check(spec, kind, hook)
                    except InvalidSpec as error:
                        if isinstance(spec, PluginSpec):
                            self._claims.refused[spec.key] = error
                        self.fail(source, "spec", error)
                    else:
                        claims.setdefault(spec.key, []).append((spec, source))
        for key, claimants in claims.items():
            for source, refusal in self._claims.settle(key, claimants):
                self.fail(source, "duplicate", refusal)

    def _unique(self) -> Iterator[Claim]:
        """Every spec once, those without a short name included."""
        return (found for key, found in sorted(self._claims.found.items()) if key != found[0].key)

    def _lookup(self, key: str) -> Claim:
        distribution, _, short = key.partition(":")
        qualified = f"{canonical(distribution)}:{short}"
        found = self._claims.found.get(key) or self._claims.found.get(qualified)
        if found is None:
            raise self._missing(key)
        return found

    def _missing(self, key: str) -> AdvplugError:
        """The error that says best why ``key`` is not usable."""
        distribution, kind, name = split_key(key, KINDS)
        if kind not in KINDS:
            for reason in (self._why_not(distribution, each, name) for each in KINDS if not kind):
                if reason is not None:
                    return reason
            named = [spec.key for spec in self.specs() if spec.name in (name, key)]
            near = ", ".join(named) or (_nearest(kind, KINDS) if kind else self._of_any_kind(name))
            return UnknownPlugin(f"no plugin {key!r}: write kind:name, the kind one of {', '.join(KINDS)}{_hint(near)}")
        reason = self._why_not(distribution, kind, name)
        if reason is not None:
            return reason
        if any(spec.bridged and spec.name.startswith(f"{name}:") for spec in self.specs(kind)):
            return UnknownPlugin(f"{key} is a library of attacks: write {key}:CLASS (advplug list --library {name})")
        expected = canonical(distribution) or owner(f"{kind}:{name}")
        hint = _hint(self._nearest_of(kind, name))
        silent = ", ".join(sorted({failure.distribution for failure in self.errors if failure.stage in _SILENT}))
        suspects = f". Broken plugins may have brought it: {silent} (advplug doctor)" if silent else ""
        return UnknownPlugin(f"no plugin {key!r}{hint}, or install it: pip install {expected}{suspects}")

    def _of_any_kind(self, name: str) -> str:
        """Keys of the plugins whose name is most like ``name``, whatever their kind."""
        found = nearest(name, [spec.name for spec in self.specs() if not spec.bridged])
        return " or ".join(spec.key for spec in self.specs() if spec.name == found)

    def _nearest_of(self, kind: str, name: str) -> str:
        """Key of the plugin whose name is most like ``name``; of the same library if one is named there."""
        specs = self.specs(kind)
        library, colon, attack = name.partition(":")
        if colon:
            specs = tuple(spec for spec in specs if spec.name.startswith(f"{library}:")) or specs
            for spec in specs:
                if attack in spec.summary.split():  # the class of one that goes by an alias
                    return spec.key
        return _nearest(name, [spec.name for spec in specs], f"{kind}:")

    def _why_not(self, distribution: str, kind: str, name: str) -> AdvplugError | None:
        """Why an installed plugin cannot be used under that name; None if there is none that should have it."""
        short = f"{kind}:{name}"
        key = f"{canonical(distribution)}:{short}" if distribution else short
        if key in self._claims.contested:
            choices = " or ".join(f"{source.distribution}:{key}" for source in self._claims.contested[key])
            return BrokenPlugin(f"several distributions claim {key}: write {choices}")
        if key in self._claims.refused:
            error = describe(self._claims.refused[key])
            return BrokenPlugin(f"{key} is installed but broken ({error}): see advplug doctor")
        expected = canonical(distribution) or owner(short)
        entry_point = "" if distribution else f"{kind}-{name.partition(':')[0]}"
        for failure in self.errors:
            if failure.stage != "duplicate" and (
                failure.distribution == expected or failure.entry_point == entry_point
            ):
                return BrokenPlugin(f"{key} is installed but broken ({failure.error}): see advplug doctor")
        for blocked in self.blocked:
            if blocked.source.distribution == expected or blocked.source.entry_point == entry_point:
                return UnknownPlugin(f"{key} is installed but {blocked.blocked_by} switches it off")
        return None


def _check(spec: object, kind: type[PluginSpec], hook: str) -> None:
    """Refuse what is not a spec of that kind, or was written for newer hooks."""
    if not isinstance(spec, kind):
        raise InvalidSpec(f"{hook} gave {type(spec).__name__}, not {kind.__name__}")
    if spec.api > hookspecs.API_VERSION:
        raise InvalidSpec(
            f"{spec.key} needs hook API {spec.api}, this advplug has {hookspecs.API_VERSION}: pip install -U advplug"
        )


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    found = nearest(name, known)
    return found and prefix + found


def _hint(near: str) -> str:
    return f" (did you mean {near}?)" if near else ""


_chosen: ContextVar[Manager | None] = ContextVar("advplug_manager", default=None)
_default = cache(Manager)


def default_manager() -> Manager:
    """The manager of the installed plugins, made on first use; inside :func:`using`, the one given there."""
    return _chosen.get() or _default()


@contextmanager
def using(manager: Manager) -> Iterator[Manager]:
    """Let :func:`load` and the command line use ``manager`` inside the block, for tests and embedding hosts."""
    token = _chosen.set(manager)
    try:
        yield manager
    finally:
        _chosen.reset(token)


def load(key: str) -> Any:
    """:meth:`Manager.load` of the default manager: ``load("attack:ead")`` gives the attack class."""
    return default_manager().load(key)
