"""A click group whose commands are imported when called and extended by plugins."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from advplug.errors import BrokenPlugin, InvalidSpec


class LazyGroup(click.Group):
    """``commands_table`` maps a name to ("module:attribute", one line of help).

    Plugins add commands through ``advplug_register_commands``; they are asked only when the command is not in the
    table, or for the help. They cannot replace a command that is there already.
    """

    def __init__(self, *args: Any, commands_table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = commands_table
        self._added: set[str] = set()

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a plugin's command.

        Raises
        ------
        InvalidSpec: the name is taken; the manager turns this into a problem of that plugin.
        """
        name = name or cmd.name
        if name in self._table or name in self.commands:
            raise InvalidSpec(f"there is already a command {name!r}")
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, plugins' included."""
        self._ask_plugins(ctx)
        return sorted({*self._table, *self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        if cmd_name in self._table:
            module, _, attribute = self._table[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        self._ask_plugins(ctx)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a hint where the name is unknown."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            broken = _without_their_commands()
            if broken and not near:
                raise BrokenPlugin(f"no command {args[0]!r}; plugins that could not add theirs: {broken}")
            ctx.fail(f"No such command {args[0]!r}." + "".join(f" Did you mean {name}?" for name in near))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their one-line help without importing those of the table."""
        names = self.list_commands(ctx)
        rows = [(name, self._table[name][1] if name in self._table else self._help(name)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        broken = _without_their_commands()
        if broken:
            click.secho(f"! plugins that could not add their commands: {broken}", fg="yellow", err=True)

    def _help(self, name: str) -> str:
        return self.commands[name].get_short_help_str(100)

    def _ask_plugins(self, ctx: click.Context) -> None:
        if ctx.meta.setdefault("advplug.asked", False):
            return
        ctx.meta["advplug.asked"] = True
        from advplug.manager import default_manager

        for name in self._added:  # the group outlives one call, and the plugins may differ in the next
            self.commands.pop(name, None)
        before = set(self.commands)
        for _ in default_manager().call_each("advplug_register_commands", cli=self):
            pass
        self._added = set(self.commands) - before


def _without_their_commands() -> str:
    """Which plugins failed when they were asked for commands, "" if none did."""
    from advplug.manager import default_manager

    failed = {
        f"{problem.distribution} ({problem.error})"
        for problem in default_manager().problems
        if problem.stage == "advplug_register_commands"
    }
    return ", ".join(sorted(failed)) + " (advplug doctor for the traceback)" if failed else ""
