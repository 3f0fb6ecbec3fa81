"""PGD under linf, the same steps, step size and start, as each library offers it. Missing libraries are left out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 40
Contestant = Callable[[], Any]


def floor(model: nn.Module, x: Tensor, y: Tensor, steps: int = STEPS) -> Contestant:
    """``steps`` times one forward and one backward pass to the input of the bare, frozen model."""

    def run() -> Tensor:
        point = x
        for _ in range(steps):
            point = x.detach().requires_grad_()
            loss = nn.functional.cross_entropy(model(point), y, reduction="sum")
            (point,) = torch.autograd.grad(loss, point)
        return point

    return frozen(model, run)


def frozen(model: nn.Module, run: Contestant) -> Contestant:
    """Run with parameters that need no gradient, and put them back."""

    def wrapped() -> Any:
        flags = [parameter.requires_grad for parameter in model.parameters()]
        model.requires_grad_(False)
        try:
            return run()
        finally:
            for parameter, flag in zip(model.parameters(), flags, strict=True):
                parameter.requires_grad_(flag)

    return wrapped


def advplug(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, **options: Any) -> Contestant:
    from advplug_attack_pgd._pgd import PGD

    from advplug.api import run
    from advplug.threat import ThreatModel

    start = options.pop("random_start", False)
    attack = PGD(steps=STEPS, step_size=epsilon / 10, random_start=start)
    return lambda: run(attack, model, x, y, ThreatModel("linf", epsilon), **options)


def foolbox(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, restarts: int = 1) -> Contestant:
    fb = import_module("foolbox")
    wrapped = fb.PyTorchModel(model, bounds=(0, 1), device=x.device)
    attack = fb.attacks.LinfPGD(steps=STEPS, abs_stepsize=epsilon / 10, random_start=restarts > 1)
    attack = attack.repeat(restarts) if restarts > 1 else attack
    return lambda: attack(wrapped, x, y, epsilons=epsilon)


def art(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Contestant:
    estimators = import_module("art.estimators.classification")
    evasion = import_module("art.attacks.evasion")
    classifier = estimators.PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        tuple(x.shape[1:]),
        10,
        clip_values=(0, 1),
        device_type="gpu" if x.is_cuda else "cpu",
    )
    attack = evasion.ProjectedGradientDescent(
        classifier,
        eps=epsilon,
        eps_step=epsilon / 10,
        max_iter=STEPS,
        batch_size=len(x),
        verbose=False,
    )
    inputs, labels = x.cpu().numpy(), y.cpu().numpy()
    return lambda: attack.generate(inputs, labels)


def torchattacks(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Contestant:
    attack = import_module("torchattacks").PGD(
        model, eps=epsilon, alpha=epsilon / 10, steps=STEPS, random_start=False
    )
    return lambda: attack(x, y)


def secml_torch(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Contestant:
    attacks = import_module("secmlt.adv.evasion.pgd")
    backends = import_module("secmlt.adv.backends")
    norms = import_module("secmlt.adv.evasion.perturbation_models")
    classifier = import_module("secmlt.models.pytorch.base_pytorch_nn").BasePyTorchClassifier(model)
    attack = attacks.PGD(
        perturbation_model=norms.LpPerturbationModels.LINF,
        epsilon=epsilon,
        num_steps=STEPS,
        step_size=epsilon / 10,
        random_start=False,
        lb=0,
        ub=1,
        backend=backends.Backends.NATIVE,
    )
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=len(x))
    return lambda: attack(classifier, loader)


PEERS = {"ART": art, "torchattacks": torchattacks, "secml-torch": secml_torch}
