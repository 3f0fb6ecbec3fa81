"""What a user names as ``package.module:attribute``: a model, or a stand-in for one."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from importlib import import_module
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

    found = _found(name)
    if not isinstance(found, nn.Module) and callable(found) and _needs_nothing(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            raise InvalidInput(f"{name}() failed: {said(error)}") from error
    if isinstance(found, nn.Module):
        return found
    if hasattr(found, SCORES) and not inspect.isclass(found):
        scores: Callable[[Any], Any] = getattr(found, SCORES)
        return scores
    if callable(found) and not inspect.isclass(found):
        function: Callable[[Any], Any] = found
        return function
    raise InvalidInput(
        f"{name} is {_kind(found)}: name a torch.nn.Module, a function from inputs (N, ...) to scores (N, K), or a "
        "function without arguments that returns one, such as advplug.model.PlainModel(model.predict_proba, K)"
    )


def _found(name: str) -> Any:
    path, _, attribute = name.partition(":")
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
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidInput(f"{name}: {path} has no {attribute or 'attribute of no name'}")
        found = getattr(found, part)
    return found


def _needs_nothing(function: Callable[..., Any]) -> bool:
    """Whether ``function`` can be called without arguments; classes are called in any case, for what they say."""
    if inspect.isclass(function):
        return True
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # functions written in C have no signature
        return False
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(one.default is not one.empty or one.kind in several for one in parameters)


def said(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"


def _kind(found: Any) -> str:
    return f"the class {found.__name__}" if inspect.isclass(found) else f"of type {type(found).__name__}"
