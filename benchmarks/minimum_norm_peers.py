"""Minimum-norm attacks of other libraries, at ``steps`` gradients where they let one say so.

What a library does not let one set stays at its default. Searches over a weight have 9 rounds of ``steps / 9``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from minimum_norm_advlib import adv_lib, imported
from minimum_norm_judge import Contestant, Found, keep_smallest, settings
from torch import Tensor, nn

Arguments = dict[str, Any]
ROUNDS = 9


def foolbox(norm: str, steps: int) -> list[Contestant]:
    """Foolbox: ``epsilons=None``. Brendel-Bethge needs numba, and its own starting points."""
    search: Arguments = {"binary_search_steps": ROUNDS, "steps": max(1, steps // ROUNDS)}
    budget: Arguments = {"steps": steps}
    attacks: dict[str, list[tuple[str, Arguments]]] = {
        "linf": [("LinfDeepFoolAttack", {}), ("LInfFMNAttack", budget), ("LinfinityBrendelBethgeAttack", budget)],
        "l2": [
            ("L2DeepFoolAttack", {}),
            ("DDNAttack", budget),
            ("L2CarliniWagnerAttack", search),
            ("L2FMNAttack", budget),
            ("L2BrendelBethgeAttack", budget),
        ],
        "l1": [
            ("EADAttack", {"decision_rule": "L1", **search}),
            ("L1FMNAttack", budget),
            ("L1BrendelBethgeAttack", budget),
        ],
        "l0": [("L0FMNAttack", budget), ("L0BrendelBethgeAttack", budget)],
    }

    def make(name: str, arguments: Arguments) -> Contestant:
        compiled = "Brendel" in name

        def search_for(net: nn.Module, x: Tensor, y: Tensor, arguments: Arguments) -> Found:
            fb = import_module("foolbox")
            model = fb.PyTorchModel(net, bounds=(0, 1), device=x.device)
            points, _, success = getattr(fb.attacks, name)(**arguments)(model, x, y, epsilons=None)
            return Found(points, success)

        def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
            return search_for(net, x, y, arguments)

        def prepare(net: nn.Module, x: Tensor, y: Tensor) -> None:
            if compiled:
                search_for(net, x[:1], y[:1], {"steps": 2})
            import_module("foolbox")

        return Contestant("foolbox", name, settings(arguments), find, prepare, compiled)

    return [make(name, arguments) for name, arguments in attacks[norm]]


def art(norm: str, steps: int) -> list[Contestant]:
    """ART: numpy arrays, the whole batch at once."""
    search: Arguments = {"binary_search_steps": ROUNDS, "max_iter": max(1, steps // ROUNDS)}
    attacks: dict[str, list[tuple[str, Arguments]]] = {
        "linf": [("CarliniLInfMethod", {})],
        "l2": [("DeepFool", {}), ("CarliniL2Method", search)],
        "l1": [("ElasticNet", {"decision_rule": "L1", **search})],
        "l0": [("CarliniL0Method", search), ("SaliencyMapMethod", {"theta": 1.0})],
    }

    def make(name: str, arguments: Arguments) -> Contestant:
        targeted = name == "SaliencyMapMethod"

        def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
            attack = _art_attack(net, x, name, {**arguments, "batch_size": len(x), "verbose": False})
            if targeted:
                return _for_each_target(net, x, y, lambda t: torch.from_numpy(attack.generate(x.numpy(), t.numpy())))
            return Found(torch.from_numpy(attack.generate(x.numpy(), y.numpy())))

        slow = targeted or name.startswith("Carlini")
        text = settings(arguments) + (", nearest of all targets" if targeted else "")
        return Contestant("ART", name, text, find, imports("art.attacks.evasion"), slow)

    return [make(name, arguments) for name, arguments in attacks[norm]]


def _art_attack(net: nn.Module, x: Tensor, name: str, arguments: Arguments) -> Any:
    estimators = import_module("art.estimators.classification")
    classes = net(x[:1]).shape[1]
    shape = tuple(x.shape[1:])
    classifier = estimators.PyTorchClassifier(
        net, nn.CrossEntropyLoss(), shape, classes, clip_values=(0, 1), device_type="cpu"
    )
    return getattr(import_module("art.attacks.evasion"), name)(classifier, **arguments)


def torchattacks(norm: str, steps: int) -> list[Contestant]:
    """torchattacks. A step of its FAB takes the gradient of each of ten classes."""
    search: Arguments = {"binary_search_steps": ROUNDS, "max_iterations": max(1, steps // ROUNDS)}
    eps = {"linf": 1.0, "l2": 1e3, "l1": 1e6, "l0": 0.0}[norm]  # FAB forgets what lies beyond
    fab: tuple[str, Arguments] = ("FAB", {"norm": norm.capitalize(), "eps": eps, "steps": max(1, steps // 10)})
    attacks: dict[str, list[tuple[str, Arguments]]] = {
        "linf": [fab],
        "l2": [("DeepFool", {}), ("CW", {"steps": steps}), fab],
        "l1": [("EADL1", search), ("SparseFool", {}), fab],
        "l0": [("SparseFool", {}), ("JSMA", {"gamma": 1.0})],
    }

    def make(name: str, arguments: Arguments) -> Contestant:
        targeted = name == "JSMA"
        slow = name in {"JSMA", "SparseFool"}  # one image after the other

        def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
            attack = getattr(import_module("torchattacks"), name)(net, **arguments)
            if targeted:
                attack.set_mode_targeted_by_label(quiet=True)
                return _for_each_target(net, x, y, lambda targets: attack(x, targets))
            return Found(attack(x, y))

        text = settings(arguments) + (", nearest of all targets" if targeted else "")
        return Contestant("torchattacks", name, text, find, imports("torchattacks"), slow)

    return [make(name, arguments) for name, arguments in attacks[norm]]


def secml_torch(norm: str, steps: int) -> list[Contestant]:
    """secml-torch, what it implements itself: its other attacks call Foolbox or adv-lib."""
    fmn: Arguments = {"perturbation_model": norm, "num_steps": steps, "step_size": 1.0}
    attacks: list[tuple[str, str, Arguments]] = [("fmn", "FMN", fmn)]
    if norm == "l2":
        attacks.append(("ddn", "DDN", {"num_steps": steps}))

    def make(module: str, name: str, arguments: Arguments) -> Contestant:
        def find(net: nn.Module, x: Tensor, y: Tensor) -> Found:
            attack = getattr(import_module(f"secmlt.adv.evasion.{module}"), name)(**arguments)
            wrapped = import_module("secmlt.models.pytorch.base_pytorch_nn").BasePyTorchClassifier(net)
            loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=len(x))
            return Found(torch.cat([points for points, _ in attack(wrapped, loader)]))

        def prepare(net: nn.Module, x: Tensor, y: Tensor) -> None:
            if find_spec("adv_lib") is not None:  # which its package imports
                imported()
            import_module(f"secmlt.adv.evasion.{module}")

        return Contestant("secml-torch", name, settings(arguments), find, prepare)

    return [make(*attack) for attack in attacks]


def imports(module: str) -> Callable[[nn.Module, Tensor, Tensor], object]:
    """A ``prepare`` that imports ``module``."""
    return lambda net, x, y: import_module(module)


def _for_each_target(net: nn.Module, x: Tensor, y: Tensor, run: Callable[[Tensor], Tensor]) -> Found:
    classes = net(x[:1]).shape[1]
    candidates = [run((y + shift) % classes).detach() for shift in range(1, classes)]
    return keep_smallest(net, x, y, candidates, "l0")


PEERS: dict[str, Callable[[str, int], list[Contestant]]] = {
    "foolbox": foolbox,
    "art": art,
    "torchattacks": torchattacks,
    "secmlt": secml_torch,
    "adv_lib": adv_lib,
}
"""By the name of the module that each needs."""
