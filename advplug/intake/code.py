"""What a user names as ``package.module:attribute``: a model, a data set, a loss, or what makes one of them."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from advplug.errors import InvalidInput


def found(name: str, *, otherwise: str = "") -> Any:
    """The object at ``package.module:attribute``; the working directory counts as a place of modules.

    ``otherwise`` says in the message what else the name could have meant, such as ``, nor such a defense plugin``.

    Raises
    ------
    InvalidInput: there is no such thing, or importing it fails.
    """
    path, _, attribute = name.partition(":")
    _refuse_file(name, path, attribute)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; the console script does not
    thing: Any
    try:
        thing = import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(error.name + ".")):
            raise InvalidInput(f"{name}: no module {error.name} is to be found{otherwise}") from error
        raise InvalidInput(f"{name}: {path} needs {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}: {path} could not be imported: {said(error)}") from error
    module = thing
    for part in attribute.split("."):
        thing = attribute_of(name, thing, part)
        if thing is None:
            missing = f"{name}: {path} has no {attribute or 'attribute of no name'}"
            raise InvalidInput(f"{missing}: {_file_of(path, module)}")
    return thing


@contextmanager
def working_directory() -> Iterator[None]:
    """Go back to where the user is: a module may go elsewhere, and other options name files from here."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)


def attribute_of(name: str, thing: Any, part: str) -> Any:
    """The attribute ``part``, None if there is none.

    Raises
    ------
    InvalidInput: a ``__getattr__`` or property of the user's fails.
    """
    try:
        return getattr(thing, part, None)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}: reading {part} failed: {said(error)}") from error


def required(function: Callable[..., Any]) -> list[str] | None:
    """Names of the arguments that ``function`` needs, None if it does not say so; a class then needs none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except Exception:  # functions written in C have no signature, and other objects may fail as they like
        return [] if inspect.isclass(function) else None
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in several]


def made(name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What ``function`` at ``name`` returns.

    Raises
    ------
    InvalidInput: it fails.
    """
    try:
        return function(*arguments, **named)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}() failed: {said(error)}") from error


def said(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"


def kind_of(thing: Any) -> str:
    """What ``thing`` is, for messages."""
    return f"the class {thing.__name__}" if inspect.isclass(thing) else f"of type {type(thing).__name__}"


def _refuse_file(name: str, path: str, attribute: str) -> None:
    """Refuse ``net.py:build`` and ``models/net:build``, and say how the module is written."""
    file = Path(path)
    if not ({"/", os.sep} & set(path) or (file.suffix == ".py" and file.is_file())):
        return
    parts = (file.with_suffix("") if file.suffix == ".py" else file).parts
    inside = not file.is_absolute() and ".." not in parts
    module, where = (".".join(parts), "") if inside else (parts[-1], f" in the folder {file.parent}")
    raise InvalidInput(f"{name} names a file: write {module}:{attribute}{where}")


def _file_of(path: str, module: Any) -> str:
    """Where the module was found: one of the same name may hide the user's."""
    file = getattr(module, "__file__", None) or "a part of Python itself"
    own = Path(*path.split(".")).with_suffix(".py")
    if own.is_file() and not (os.path.isfile(file) and own.samefile(file)):
        return f"it is {file}, which hides your {own}: give that another name"
    return f"it is {file}"
