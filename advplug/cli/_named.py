"""What a user names as ``package.module:attribute``: a model, or a stand-in for one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from advplug.errors import InvalidInput
from advplug.intake.code import attribute_of, found, kind_of, made, required, working_directory

SCORES = "predict_proba"
"""What an estimator of scikit-learn calls the method that gives scores."""


def read_function(name: str) -> Callable[[Any], Any]:
    """The module or function from inputs to scores at ``package.module:attribute``; the working directory counts.

    A function that needs no argument is called for one. Of an object with ``predict_proba`` that method is taken.

    Raises
    ------
    InvalidInput: there is no such thing, it fails, or it is no function of inputs.
    """
    with working_directory():
        return function_of(name, found(name, otherwise=", nor such a defense plugin"))


def function_of(name: str, thing: Any) -> Callable[[Any], Any]:
    """The module or function from inputs to scores that ``thing`` is, makes or has; raises as :func:`read_function`."""
    from torch import nn

    if not isinstance(thing, nn.Module) and callable(thing):
        thing = _made(name, thing)
    if isinstance(thing, nn.Module):
        return thing
    scores: Callable[[Any], Any] | None = None if inspect.isclass(thing) else attribute_of(name, thing, SCORES)
    if scores is not None:
        return scores
    if callable(thing) and not inspect.isclass(thing):
        function: Callable[[Any], Any] = thing
        return function
    raise InvalidInput(
        f"{name} is {kind_of(thing)}: name a torch.nn.Module, a function from inputs (N, ...) to scores (N, K), or a "
        "function without arguments that returns one, such as advplug.model.PlainModel(model.predict_proba, K)"
    )


def _made(name: str, thing: Callable[..., Any]) -> Any:
    """What ``thing`` returns if it needs no argument, else itself.

    Raises
    ------
    InvalidInput: it fails, or is no function of one argument either.
    """
    missing = required(thing)
    if missing is not None and (len(missing) > 1 or (missing and inspect.isclass(thing))):
        wanted = "name what makes the model without an argument, or a function of inputs alone"
        raise InvalidInput(f"{name} needs {', '.join(missing)}: {wanted}")
    return thing if missing is None or missing else made(name, thing)
