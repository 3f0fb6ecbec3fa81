"""A click group whose commands are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from advplug.cli._interrupts import interruptible
from advplug.errors import nearest
from advplug.plugins.manager import default_manager
from advplug.specs import imported


class LazyGroup(click.Group):
    """``commands_table`` maps a name to ("module:attribute", one line of help)."""

    def __init__(self, *args: Any, commands_table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = commands_table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        if cmd_name not in self._table:
            return None
        with interruptible("it had not begun, and nothing was written"):
            command: click.Command = imported(self._table[cmd_name][0])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a hint where the name is unknown."""
        if args and args[0] not in self._table and not args[0].startswith("-"):
            meant = _command_of_plugin(args[0]) or nearest(args[0], self._table)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {meant}?" if meant else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their one-line help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._table[name][1]) for name in self.list_commands(ctx)])


def _command_of_plugin(typed: str) -> str:
    """What somebody may want who typed the name of a plugin for a command; empty if no plugin is called so."""
    name = typed.rpartition(":")[2]
    kinds = {spec.kind for spec in default_manager().specs() if spec.name == name}
    if not kinds:
        return ""
    return f"advplug break {name}" if "adaptive" in kinds else f"advplug show {typed}"
