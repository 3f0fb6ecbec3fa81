"""What an option may have been meant to be that a command does not have."""

from __future__ import annotations

from difflib import get_close_matches

import click

_CLOSE = 0.8
"""How much of two options must be alike: --steps is neither --set nor --sweep."""


def message(error: click.NoSuchOption) -> str:
    """One sentence: the option that begins like it or is a slip away, or else where attacks have their parameters."""
    options = [] if error.ctx is None else [name for one in error.ctx.command.params for name in one.opts]
    typed = error.option_name.partition("=")[0]
    begins = min((name for name in options if name.startswith(typed)), key=len, default="")
    meant = begins or next(iter(get_close_matches(typed, options, n=1, cutoff=_CLOSE)), "")
    if "--set" in options and not meant:
        return f"{error.message} A parameter of an attack is --set ATTACK.{typed.lstrip('-').replace('-', '_')}=VALUE."
    return error.message + (f" Did you mean {meant}?" if meant else "")
