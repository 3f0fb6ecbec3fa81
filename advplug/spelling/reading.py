"""Losses and estimators from text: words with settings, compositions, or ``package.module:name`` of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from torch import Tensor

from advplug.criteria import Both, Criterion
from advplug.errors import InvalidInput, near
from advplug.gradients import GradientEstimator
from advplug.intake.code import found, kind_of, said, working_directory
from advplug.losses import Joint, Loss
from advplug.spelling.grammar import Call, Weighted, parsed
from advplug.spelling.names import ALIASES
from advplug.spelling.values import FUNCTION, hints_of, kind_in, literal, tensor_in, unquoted
from advplug.spelling.words import KINDS, component_of, first_parameter, words_of

Defaults = Mapping[str, Mapping[str, Any]]
"""Word -> values of parameters that stand where the text says nothing, such as the size of noise."""


def read_loss(text: str) -> Loss:
    """The loss that ``text`` spells, such as ``0.5*margin+10*detector-score`` or ``mine:MyLoss(k=3)``.

    Raises
    ------
    InvalidInput: no such word or parameter, or a value that is refused.
    """
    return _loss(parsed(text), text)


def read_gradient(text: str, defaults: Defaults | None = None) -> GradientEstimator:
    """The estimator that ``text`` spells, such as ``eot:20 of bpda`` or ``selective(second=margin) of eot:5``.

    Raises
    ------
    InvalidInput: as :func:`read_loss`; a sum.
    """
    tree = parsed(text)
    ((weight, chain), *others) = tree.terms
    if weight is not None or others or not isinstance(chain, Call):
        raise InvalidInput(f"gradient {text!r}: weights and sums are for losses: write NAME or NAME of NAME")
    estimator: GradientEstimator = _built(chain, GradientEstimator, defaults or {})
    return estimator


def read_criterion(text: str) -> Criterion:
    """The criterion that ``text`` spells, such as ``misclassified`` or ``targeted & mine:Wrong(k=3)``.

    Raises
    ------
    InvalidInput: as :func:`read_loss`; a sum.
    """
    trees = [parsed(part).terms for part in text.split("&")]
    if any(len(terms) > 1 or terms[0][0] is not None or not isinstance(terms[0][1], Call) for terms in trees):
        raise InvalidInput(f"criterion {text!r}: weights and sums are for losses: write NAME or NAME & NAME")
    found: list[Criterion] = [_built(terms[0][1], Criterion, {}) for terms in trees]  # type: ignore[arg-type]
    return reduce(Both, found)


def _loss(tree: Weighted, text: str) -> Loss:
    terms = [
        (weight, _loss(term, text) if isinstance(term, Weighted) else _built(term, Loss, {}))
        for weight, term in tree.terms
    ]
    if len(terms) == 1 and terms[0][0] is None:
        return terms[0][1]
    return Joint(tuple((1.0 if weight is None else weight, loss) for weight, loss in terms))


def _built(call: Call, kind: type[Any], defaults: Defaults) -> Any:
    """The component of class ``kind`` that ``call`` spells."""
    word = ALIASES.get(call.name, call.name)
    factory: Any = component_of(kind, word)
    if factory is None and call.first is not None:
        return _own(call, kind, defaults)
    if factory is None:
        words = words_of(kind)
        raise InvalidInput(
            f"no {KINDS[kind]} {call.name!r}{near(call.name, [*words, *ALIASES])}: choose among {', '.join(words)}, or "
            "name your own as package.module:name"
        )
    known = inspect.signature(factory).parameters
    settings = dict(call.named)
    if call.first is not None:
        first = first_parameter(word, factory)
        if first is None:
            raise InvalidInput(f"{call.name}:{call.first}: {call.name} takes no number or other value")
        if first in settings:
            raise InvalidInput(f"{call.name}:{call.first}: {first} is given twice: leave one of them out")
        settings = {first: call.first, **settings}
    values = _values(call.name, factory, settings, defaults)
    values = {key: value for key, value in defaults.get(word, {}).items() if key in known} | values
    missing = [one.name for one in known.values() if one.default is one.empty and one.name not in values]
    if call.of is not None:
        if "of" not in known or "of" in values:
            raise InvalidInput(f"{call.name} of {call.of.name}: {call.name} takes nothing{' more' * ('of' in known)}")
        values["of"] = _built(call.of, kind, defaults)
        missing = [name for name in missing if name != "of"]
    if missing:
        raise InvalidInput(f"{call.name} needs {' and '.join(missing)}: write {_example(call.name, missing)}")
    return _called(call.name, factory, values, kind)


def _own(call: Call, kind: type[Any], defaults: Defaults) -> Any:
    """What the user names: a class or function, called with the settings, or an instance as it is."""
    name = f"{call.name}:{call.first}"
    otherwise = f", nor is {call.name} a {KINDS[kind]}{near(call.name, [*words_of(kind), *ALIASES])}"
    with working_directory():
        thing = found(name, otherwise=otherwise)
        if isinstance(thing, kind):
            if call.named or call.of is not None:
                raise InvalidInput(f"{name} is an instance: leave the settings out, or name its class")
            return thing
        if not callable(thing) or (inspect.isclass(thing) and not issubclass(thing, kind)):
            raise InvalidInput(f"{name} is {kind_of(thing)}: {_wanted(kind)}")
        values = _values(name, thing, dict(call.named), defaults)
        if call.of is not None:
            values["of"] = _built(call.of, kind, defaults)
        return _called(name, thing, values, kind)


def _values(name: str, factory: Callable[..., Any], settings: Mapping[str, str], defaults: Defaults) -> dict[str, Any]:
    """The settings as values of the types that the parameters of ``factory`` have."""
    known, hints = inspect.signature(factory).parameters, hints_of(factory)
    several = any(one.kind is one.VAR_KEYWORD for one in known.values())
    for key in settings:
        if key not in known and not several:
            listed = ", ".join(known) or "none"
            raise InvalidInput(f"{name} has no parameter {key}{near(key, known)}: it has {listed}")
    return {key: _value(text, hints.get(key), defaults) for key, text in settings.items()}


def _value(text: str, hint: Any, defaults: Defaults) -> Any:
    kind = kind_in(hint)
    if kind is Loss:
        return read_loss(text)
    if kind is GradientEstimator:
        return read_gradient(text, defaults)
    if kind is str:
        return unquoted(text)
    if kind is Tensor:
        return tensor_in(text)
    return found(unquoted(text)) if kind is FUNCTION else literal(text)


def _called(name: str, factory: Callable[..., Any], values: Mapping[str, Any], kind: type[Any]) -> Any:
    try:
        made = factory(**values)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"{name}: {said(error)}") from error
    if not isinstance(made, kind):
        raise InvalidInput(f"{name} gives {kind_of(made).removeprefix('of ')}: {_wanted(kind)}")
    return made


def _wanted(kind: type) -> str:
    return f"name a class derived from {kind.__module__}.{kind.__name__}, an instance of one, or what returns one"


def _example(name: str, missing: list[str]) -> str:
    rest = [key for key in missing if key != "of"]
    settings = f"({', '.join(f'{key}=...' for key in rest)})" if rest else ""
    return f"{name}{settings}{' of NAME' * ('of' in missing)}"
