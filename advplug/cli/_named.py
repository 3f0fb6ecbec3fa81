"""What a user names as ``package.module:attribute``: a model, or a stand-in for one."""

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

SCORES = "predict_proba"
"""What an estimator of scikit-learn calls the method that gives scores."""


def read_function(name: str) -> Callable[[Any], Any]:
    """The module or function from inputs to scores at ``package.module:attribute``; the working directory counts.

    A function that needs no argument is called for one. Of an object with ``predict_proba`` that method is taken.

    Raises
    ------
    InvalidInput: there is no such thing, it fails, or it is no function of inputs.
    """
    from torch import nn

    with _working_directory():
        found = _found(name)
        if not isinstance(found, nn.Module) and callable(found):
            found = _made(name, found)
    if isinstance(found, nn.Module):
        return found
    scores: Callable[[Any], Any] | None = None if inspect.isclass(found) else _attribute(name, found, SCORES)
    if scores is not None:
        return scores
    if callable(found) and not inspect.isclass(found):
        function: Callable[[Any], Any] = found
        return function
    raise InvalidInput(
        f"{name} is {_kind(found)}: name a torch.nn.Module, a function from inputs (N, ...) to scores (N, K), or a "
        "function without arguments that returns one, such as advplug.model.PlainModel(model.predict_proba, K)"
    )


@contextmanager
def _working_directory() -> Iterator[None]:
    """Go back to where the user is: a module may go elsewhere, and other options name files from here."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)


def _made(name: str, found: Callable[..., Any]) -> Any:
    """What ``found`` returns if it needs no argument, else itself.

    Raises
    ------
    InvalidInput: it fails, or is no function of one argument either.
    """
    required = _required(found)
    if required is not None and (len(required) > 1 or (required and inspect.isclass(found))):
        wanted = "name what makes the model without an argument, or a function of inputs alone"
        raise InvalidInput(f"{name} needs {', '.join(required)}: {wanted}")
    if required is None or required:
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}() failed: {said(error)}") from error


def _found(name: str) -> Any:
    path, _, attribute = name.partition(":")
    _refuse_file(name, path, attribute)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; the console script does not
    found: Any
    try:
        found = import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(error.name + ".")):
            raise InvalidInput(f"{name}: no module {error.name} is to be found, nor such a defense plugin") from error
        raise InvalidInput(f"{name}: {path} needs {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}: {path} could not be imported: {said(error)}") from error
    module = found
    for part in attribute.split("."):
        found = _attribute(name, found, part)
        if found is None:
            missing = f"{name}: {path} has no {attribute or 'attribute of no name'}"
            raise InvalidInput(f"{missing}: {_file_of(path, module)}")
    return found


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


def _attribute(name: str, found: Any, part: str) -> Any:
    """The attribute ``part``, None if there is none.

    Raises
    ------
    InvalidInput: a ``__getattr__`` or property of the user's fails.
    """
    try:
        return getattr(found, part, None)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}: reading {part} failed: {said(error)}") from error


def _required(function: Callable[..., Any]) -> list[str] | None:
    """Names of the arguments that ``function`` needs, None if it does not say so; a class then needs none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except Exception:  # functions written in C have no signature, and other objects may fail as they like
        return [] if inspect.isclass(function) else None
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in several]


def said(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"


def _kind(found: Any) -> str:
    return f"the class {found.__name__}" if inspect.isclass(found) else f"of type {type(found).__name__}"
