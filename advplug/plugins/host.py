"""A pluggy host in which a plugin that fails becomes a :class:`PluginFailure`, and everything else goes on."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import pluggy

from advplug import hookspecs
from advplug.errors import BrokenPlugin, InvalidSpec
from advplug.plugins.discovery import Candidate, Provenance
from advplug.plugins.process_state import kept

Result = TypeVar("Result")

HOST = Provenance(distribution="advplug", version="", entry_point="host")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """One failure of one plugin.

    ``stage`` is where it failed: ``import``, ``register``, ``hooks`` (one it implements does not exist, or there is
    none), ``spec``, ``duplicate``, ``factory``, ``pair`` (a defense or attack that it needs is absent), or the name of
    the hook that raised. A ``warning`` (stage ``import`` or ``factory``) leaves the plugin usable: it changed a setting
    of the whole process, which has been put back.
    """

    distribution: str
    version: str
    entry_point: str
    stage: str
    error: str
    traceback: str = ""
    severity: Literal["error", "warning"] = "error"


class Host:
    """Registers plugins and calls their hooks, each on its own.

    Whatever a plugin raises is its own failure, ``SystemExit`` and the panics of compiled extensions
    (``BaseException``) included; only ``KeyboardInterrupt`` is the user's and passes through. What a plugin prints goes
    to stderr: stdout is for data. ``ADVPLUG_STRICT=1`` raises the first failure instead of recording it in
    :attr:`failures`; ``ADVPLUG_TRACE=1`` prints every hook call on stderr.
    """

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager("advplug")
        self.pm.add_hookspecs(hookspecs)
        self.failures: list[PluginFailure] = []
        self.blocked: list[Candidate] = []
        self._strict = os.environ.get("ADVPLUG_STRICT") == "1"
        self._trace = os.environ.get("ADVPLUG_TRACE") == "1"
        self._sources: dict[str, Provenance] = {}
        if self._trace:
            self.pm.add_hookcall_monitoring(_trace_call, lambda *_: None)

    def register(self, candidate: Candidate) -> None:
        """Import and register one plugin; a misspelt hook or an import error costs only this one."""
        source, stage = candidate.source, "import"
        if candidate.blocked_by:
            self.blocked.append(candidate)
            return
        try:
            with self.importing(source, stage):
                plugin = candidate.load()
            stage = "register"
            if plugin is None:
                raise InvalidSpec("the entry point names None")  # pluggy would ignore it in silence
            self.pm.register(plugin, source.label)  # leaves nothing behind if it fails
            stage = "hooks"
            self.pm.check_pending()  # after every plugin, so that a misspelt hook is blamed on its own one
            hooks = tuple(sorted(caller.name for caller in self.pm.get_hookcallers(plugin) or ()))
            if not hooks:
                raise InvalidSpec("implements no hook: mark its functions with @advplug.hookimpl")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if stage == "hooks":  # not before: the name may be that of another plugin, which is registered rightly
                self.pm.unregister(name=source.label)
            self.fail(source, stage, error)
            return
        self._sources[source.label] = replace(source, hooks=hooks)

    def call_each(
        self, hook: str, read: Callable[[Any], Any] = lambda result: result, **arguments: Any
    ) -> Iterator[tuple[Provenance, Any]]:
        """Call each implementation of ``hook`` alone and yield its result; one that raises becomes a failure.

        ``read`` is applied to a result as a part of the call. Wrappers have nothing to wrap and are refused.
        """
        for impl in reversed(getattr(self.pm.hook, hook).get_hookimpls()):
            source = self._sources.get(impl.plugin_name, HOST)
            if self._trace:
                _trace_call(hook, [impl], arguments)
            try:
                if impl.wrapper or impl.hookwrapper:
                    raise InvalidSpec(f"{hook} cannot be wrapped")
                with stdout_to_stderr():
                    result = read(impl.function(*(arguments[name] for name in impl.argnames)))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.fail(source, hook, error)
            else:
                yield source, result

    def collect(self, hook: str, *, of: type[Result], **arguments: Any) -> list[Result]:
        """All results of a collecting hook in one list; an implementation that raises loses only its own.

        An item that is not an instance of ``of`` becomes a failure and is left out.
        """
        found = []
        for source, items in self.collect_each(hook, **arguments):
            for item in items:
                if isinstance(item, of):
                    found.append(item)
                else:
                    self.fail(source, hook, InvalidSpec(f"{hook} gave {type(item).__name__}, not {of.__name__}"))
        return found

    def first(self, hook: str, *, of: type[Result], **arguments: Any) -> Result | None:
        """The first result of ``hook`` that is an instance of ``of``; None where no plugin gives one.

        An implementation that raises, or returns anything else but None, becomes a failure, and the next one is asked.
        """
        for source, result in self.call_each(hook, **arguments):
            if isinstance(result, of):
                return result
            if result is not None:
                self.fail(source, hook, InvalidSpec(f"{hook} returned {type(result).__name__}, not {of.__name__}"))
        return None

    def collect_each(self, hook: str, **arguments: Any) -> Iterator[tuple[Provenance, list[Any]]]:
        """As :meth:`collect`, with who gave what."""
        for source, result in self.call_each(hook, _listed, **arguments):
            if isinstance(result, list):
                yield source, result
            elif result is not None:
                self.fail(source, hook, InvalidSpec(f"{hook} returned {type(result).__name__}, not an iterable"))

    @contextmanager
    def importing(self, source: Provenance, stage: str) -> Iterator[None]:
        """Import code of a plugin: what it prints goes to stderr, and what it changes in the process is put back."""
        with kept() as changed, stdout_to_stderr():
            yield
        if changed:
            text = f"changed {', '.join(changed)} on import; restored"
            if self._strict:
                raise InvalidSpec(text)
            self._record(source, stage, text, severity="warning")

    def fail(self, source: Provenance, stage: str, error: BaseException) -> None:
        """Record a failure, or raise it if the host is strict."""
        if self._strict:  # as its cause: the error alone does not say whose it is, and SystemExit would end the host
            version = f" {source.version}" if source.version else ""
            raise BrokenPlugin(f"{source.label}{version} fails at {stage}: {describe(error)}") from error
        self._record(source, stage, describe(error), traceback="".join(traceback.format_exception(error)))

    def _record(self, source: Provenance, stage: str, error: str, **details: Any) -> None:
        failure = PluginFailure(
            distribution=source.distribution,
            version=source.version,
            entry_point=source.entry_point,
            stage=stage,
            error=error,
            **details,
        )
        if failure not in self.failures:
            self.failures.append(failure)


def _listed(result: Any) -> Any:
    """An iterable as a list, so that a generator that raises does so in the call; anything else as it is."""
    return list(result) if isinstance(result, Iterable) else result


def stdout_to_stderr() -> AbstractContextManager[Any]:
    """Sends what a plugin prints to stderr while it runs."""
    return redirect_stdout(sys.stderr)


def describe(error: BaseException) -> str:
    """Type and first line of the message of an error."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _trace_call(hook: str, impls: Any, arguments: Any) -> None:
    names = ", ".join(impl.plugin_name for impl in impls)
    print(f"advplug: {hook}({', '.join(arguments)}) -> {names or 'nobody'}", file=sys.stderr)
