"""Checks of every plugin: identity, imports, construction."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from advplug.errors import BrokenPlugin
from advplug.testing.imports import imported_packages, missing_declarations
from advplug.testing.subject import Subject, require

SUMMARY_LENGTH = 120
HEAVY = ("torch", "numpy", "foolbox", "art")


def check_summary_is_one_line(subject: Subject) -> None:
    """The summary is one line that fits into a table."""
    summary = subject.spec.summary
    length = len(summary)
    require(summary == summary.strip(), f"summary {summary!r}: remove the blanks around it")
    require(length <= SUMMARY_LENGTH, f"the summary has {length} characters: shorten it to {SUMMARY_LENGTH}")


def check_reference_is_given(subject: Subject) -> None:
    """The reference names the source in words."""
    words = subject.spec.reference.split()
    require(len(words) >= 3, f"reference {subject.spec.reference!r}: give title, venue and year of the source")


def check_names_agree(subject: Subject) -> None:
    """Distribution, entry point and package are named after the kind and the plugin, its beginning, or its group."""
    spec, source = subject.spec, subject.installed
    name = spec.name.partition(":")[0]  # a bridge is named after its library
    own = source.distribution.removeprefix(f"advplug-{spec.kind}-")
    related = name.startswith(f"{own}-")  # cw-l0 may come with cw
    expected = f"{spec.kind}-{own if related or _names_a_group(own, subject) else name}"
    package = f"advplug_{expected}".replace("-", "_")
    require(source.distribution == f"advplug-{expected}", f"rename {source.distribution} to advplug-{expected}")
    require(source.entry_point == expected, f"rename the entry point {source.entry_point} to {expected}")
    found = spec.factory.partition(":")[0].partition(".")[0]
    require(found == package, f"the factory is in the package {found}: move it to {package}")


def _names_a_group(own: str, subject: Subject) -> bool:
    """Whether the distribution of the plugin brings several of its kind, and is named after none of them."""
    manager, kind, distribution = subject.manager, subject.spec.kind, subject.source.distribution
    names = [spec.name for spec in manager.specs() if spec.kind == kind]
    brought = [name for name in names if manager.provenance(f"{kind}:{name}").distribution == distribution]
    return len(brought) > 1 and own not in brought


def check_top_module_is_light(subject: Subject) -> None:
    """Importing the top module of the package imports no torch, numpy, foolbox or art."""
    module = subject.spec.factory.partition(":")[0].partition(".")[0]
    code = f"import sys; sys.path[:] = {sys.path!r}; import {module}; print(*set(sys.modules) & set({HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"import {module} fails in a fresh process:\n{done.stderr}")
    found = sorted(set(done.stdout.split()) & set(HEAVY))
    require(not found, f"import {module} imports {', '.join(found)}: move that import into the module of the factory")


def check_factory_loads(subject: Subject) -> None:
    """The factory can be imported and is of the class that its kind asks for."""
    try:
        factory = subject.manager.load(subject.key)
    except BrokenPlugin as error:
        raise AssertionError(str(error)) from error
    base = subject.base
    fits = base is None or (isinstance(factory, type) and issubclass(factory, base))
    require(fits, f"{subject.spec.factory} is {factory!r}: derive it from {base}")


def check_constructs_with_defaults(subject: Subject) -> None:
    """It can be constructed without arguments."""
    if subject.base is None:
        return
    factory = subject.factory
    try:
        factory()
    except Exception as error:
        raise AssertionError(f"{subject.spec.factory}() fails ({error}): give every argument a default") from error


def check_declares_its_imports(subject: Subject) -> None:
    """Every package that its files import is declared in its metadata."""
    source = subject.installed
    package = subject.spec.factory.partition(":")[0].partition(".")[0]
    found = find_spec(package)
    require(found is not None and found.origin, f"no package {package} on the path")
    assert found is not None
    missing = missing_declarations(source.distribution, imported_packages(found), own=package)
    require(not missing, f"{source.distribution} imports {', '.join(missing)}: add them to its dependencies")
