"""PGD under linf, the same steps, step size and start, as each library offers it. Missing libraries are left out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from nets import Case
from torch import nn

STEPS = 40
Contestant = Callable[[], Any]


def floor(case: Case) -> Contestant:
    """``STEPS`` times one forward and one backward pass to the input of the bare, frozen model."""

    def run() -> None:
        for _ in range(STEPS):
            point = case.x.detach().requires_grad_()
            loss = nn.functional.cross_entropy(case.net(point), case.y, reduction="sum")
            torch.autograd.grad(loss, point)

    return frozen(case.net, run)


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


def advplug(case: Case, **options: Any) -> Contestant:
    from advplug_attack_pgd import PGD

    from advplug.api import run
    from advplug.threat import ThreatModel

    start = options.pop("random_start", False)
    attack = PGD(steps=STEPS, step_size=case.epsilon / 10, random_start=start)
    return lambda: run(attack, case.net, case.x, case.y, ThreatModel("linf", case.epsilon), **options)


def foolbox(case: Case, restarts: int = 1) -> Contestant:
    fb = import_module("foolbox")
    wrapped = fb.PyTorchModel(case.net, bounds=(0, 1), device=case.x.device)
    attack = fb.attacks.LinfPGD(steps=STEPS, abs_stepsize=case.epsilon / 10, random_start=restarts > 1)
    attack = attack.repeat(restarts) if restarts > 1 else attack
    return lambda: attack(wrapped, case.x, case.y, epsilons=case.epsilon)


def art(case: Case) -> Contestant:
    estimators = import_module("art.estimators.classification")
    evasion = import_module("art.attacks.evasion")
    classifier = estimators.PyTorchClassifier(
        case.net,
        nn.CrossEntropyLoss(),
        tuple(case.x.shape[1:]),
        10,
        clip_values=(0, 1),
        device_type="gpu" if case.x.is_cuda else "cpu",
    )
    attack = evasion.ProjectedGradientDescent(
        classifier,
        eps=case.epsilon,
        eps_step=case.epsilon / 10,
        max_iter=STEPS,
        batch_size=len(case.x),
        verbose=False,
    )
    inputs, labels = case.x.cpu().numpy(), case.y.cpu().numpy()
    return lambda: attack.generate(inputs, labels)


def torchattacks(case: Case) -> Contestant:
    attack = import_module("torchattacks").PGD(
        case.net, eps=case.epsilon, alpha=case.epsilon / 10, steps=STEPS, random_start=False
    )
    return lambda: attack(case.x, case.y)


def secml_torch(case: Case) -> Contestant:
    attacks = import_module("secmlt.adv.evasion.pgd")
    backends = import_module("secmlt.adv.backends")
    norms = import_module("secmlt.adv.evasion.perturbation_models")
    classifier = import_module("secmlt.models.pytorch.base_pytorch_nn").BasePyTorchClassifier(case.net)
    attack = attacks.PGD(
        perturbation_model=norms.LpPerturbationModels.LINF,
        epsilon=case.epsilon,
        num_steps=STEPS,
        step_size=case.epsilon / 10,
        random_start=False,
        lb=0,
        ub=1,
        backend=backends.Backends.NATIVE,
    )
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(case.x, case.y), batch_size=len(case.x))
    return lambda: attack(classifier, loader)


PEERS = {"ART": art, "torchattacks": torchattacks, "secml-torch": secml_torch}
