"""What the command line was asked for: the job is built from it here, in every worker, and when shards are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.cli._options import Options
    from advplug.evaluation import Job

_BUILDERS = {"break": "advplug.cli.break_", "evaluate": "advplug.cli.evaluate", "search": "advplug.cli.search"}
"""Where the function ``job_of(**values)`` of each command is."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A command with the values of its options, those that say what is attacked and how; plain JSON."""

    command: str
    values: Mapping[str, Any]
    epsilons: str | None
    sweep: int | None
    diagnose: Literal["quick", "full"]
    draws: int

    @classmethod
    def of(cls, command: str, options: Options, **values: Any) -> Order:
        """The order of a command whose own options are ``values``."""
        common = ("limit", "seed", "device", "batch_size")
        values |= {name: getattr(options, name) for name in common}
        return cls(
            command=command,
            values={name: _plain(value) for name, value in values.items()},
            epsilons=options.epsilons,
            sweep=options.sweep,
            diagnose=options.diagnose,
            draws=options.draws,
        )

    def __call__(self) -> Job:
        """The job, built from plugins and modules that can be imported here."""
        from advplug.cli._budgets import smaller_budgets

        build: Callable[..., Job] = import_module(_BUILDERS[self.command]).job_of
        job = build(**self.values)
        budgets = smaller_budgets(job.threat, self.epsilons, self.sweep)
        return replace(job, sweep=budgets, diagnose=self.diagnose, draws=self.draws, named=self.to_json())

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Order:
        """The order that :meth:`to_json` gave.

        Raises
        ------
        InvalidInput: it is of another version.
        """
        if document.keys() != {field.name for field in fields(cls)} or document["command"] not in _BUILDERS:
            raise InvalidInput("job.json is of another version of advplug: give the command itself again")
        return cls(**document)


def _plain(value: Any) -> Any:
    """``value`` as JSON has it: a path as text, a tuple as a list."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
