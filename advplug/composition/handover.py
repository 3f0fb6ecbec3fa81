"""A sentence that was found, as a command and as Python."""

from __future__ import annotations

import shlex

from advplug.records.composition import Composition, Sentence


def command_of(sentence: Sentence, found: Composition) -> str:
    """The ``advplug evaluate`` command that runs ``sentence`` on what was searched."""
    words = ["advplug", "evaluate", found.model]
    words += [part for name in ("data", "threat") for part in _option(name, getattr(found, name))]
    words += [part for name, value in found.options.items() for part in _option(name, value)]
    words += ["--seed", str(found.seed), "--attacks", sentence.attack]
    for name, value in sentence.settings.items():
        words += ["--set", f"{sentence.attack}.{name}={value}"]
    words += [*_option("losses", sentence.loss or ""), *_option("gradients", sentence.gradient)]
    words += [*_option("targets", sentence.targets or "")]
    return shlex.join(words)


def python_of(sentence: Sentence, found: Composition) -> str:
    """The lines of Python that do the same."""
    attack = f"({sentence.attack!r}, {dict(sentence.settings)!r})" if sentence.settings else repr(sentence.attack)
    arguments = [repr(found.model), repr(found.data or None), repr(found.threat or None), attack]
    chosen = {"losses": sentence.loss, "gradients": sentence.gradient}
    arguments += [f"{name}={value!r}" for name, value in chosen.items() if value is not None]
    if sentence.targets is not None:
        arguments.append(f"targets={sentence.targets if sentence.targets.isdigit() else repr(sentence.targets)}")
    if "limit" in found.options:
        arguments.append(f"limit={found.options['limit']}")
    arguments.append(f"seed={found.seed}")
    return f"import advplug\n\nadvplug.evaluate({', '.join(arguments)})"


def _option(name: str, value: str) -> list[str]:
    return [f"--{name}", value] if value else []
