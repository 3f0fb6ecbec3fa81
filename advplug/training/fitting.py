"""The training loop. The seed fixes what it draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.data import Images
from advplug.defense import EpochCallback
from advplug.errors import InvalidInput
from advplug.training.adversary import InnerAdversary
from advplug.training.checkpoints import Checkpoint
from advplug.training.config import TrainingConfig
from advplug.training.objectives import Batch, LearnedLoss, LossNetwork, TrainingLoss

Module = TypeVar("Module", bound=nn.Module)

PROBES = 256
"""Training images, held out, on which an adversarially trained network is attacked after every epoch."""


def seeded(seed: int, make: Callable[[], Module]) -> Module:
    """``make()`` with torch's global generator seeded, which is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def fit(
    model: nn.Module,
    data: Any,
    config: TrainingConfig,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_epoch: EpochCallback = lambda *_: None,
    soft_labels: Tensor | None = None,
) -> None:
    """Train ``model`` in place and leave it in evaluation mode on ``device``.

    In a block of :func:`checkpoints`, each epoch is kept, and the training begins where it was interrupted.

    Parameters
    ----------
    model: any module from images to logits (N, K).
    data: :class:`advplug.Images`, or whatever :meth:`advplug.Images.of` takes: a pair of arrays, a Dataset, a
        DataLoader.
    config: how to train.
    seed: of batches, augmentation, adversary, and what the model itself draws from torch's global generator, as
        dropout does; that generator is put back afterwards.
    device: where to train.
    on_epoch: gets the mean loss and accuracy over the training batches, and after adversarial training ``pgd``, the
        accuracy under 20 steps of PGD (or under the inner attack) on held-out images: a fall to zero while
        ``accuracy`` rises means that a single-step adversary was overfitted.
    soft_labels: a probability (N, K) of every class for each image, for objectives that read ``Batch.soft``.

    Raises
    ------
    InvalidInput: no images, or not as many soft labels; a checkpoint of another training.
    """
    images = data if isinstance(data, Images) else Images.of(data)
    if soft_labels is not None and len(soft_labels) != len(images):
        raise InvalidInput(f"{len(soft_labels)} soft labels for {len(images)} images: give a row for each image")
    probes = images[: PROBES if config.adversary and len(images) > 2 * PROBES else 0]
    images = images[len(probes) :]
    soft = None if soft_labels is None else soft_labels[len(probes) :]
    if len(images) < 2:
        raise InvalidInput(f"{images.name}: {len(images)} images, too few to train on")
    if config.keep == "best" and not len(probes):
        raise InvalidInput(f"{images.name}: {len(images)} images, too few to hold out {PROBES} for keep='best'")
    device = torch.device(device)
    model.to(device).train()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        _Fit(model, images, probes, config, soft, seed=seed, device=device).run(on_epoch)
    model.eval()


@dataclass
class _Progress:
    """How far a training is: epochs and steps done, the best robust accuracy and the epoch that had it."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0


class _Fit:
    """One call of :func:`fit`."""

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        probes: Images,
        config: TrainingConfig,
        soft: Tensor | None,
        *,
        seed: int,
        device: Any,
    ) -> None:
        self.model, self.images, self.probes, self.config, self.soft = model, images, probes, config, soft
        self.seed, self.device = seed, torch.device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = _optimiser(model, config)
        self.loss: TrainingLoss = (
            seeded(seed, config.loss.begin).to(self.device).train()
            if isinstance(config.loss, LearnedLoss)
            else config.loss
        )
        self.at = _Progress()
        self.best_weights: dict[str, Tensor] = {}
        self.checkpoint = Checkpoint(model, images, config, seed, soft_labels=soft)
        self._resume()

    def run(self, on_epoch: EpochCallback) -> None:
        """Train until the last epoch, or until patience ends."""
        config = self.config
        while self.at.epoch < config.epochs and not self._out_of_patience():
            metrics = self._epoch()
            self.at.epoch += 1
            if config.adversary is not None and len(self.probes):
                metrics["pgd"] = self._robust_accuracy(config.adversary.check())
                self._remember(metrics["pgd"])
            self._keep()
            on_epoch(self.at.epoch, config.epochs, metrics)
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)

    def _epoch(self) -> dict[str, float]:
        """One pass over the images: mean loss and accuracy."""
        config, images = self.config, self.images
        torch.manual_seed(self.seed + self.at.epoch)  # for dropout: the same after a resume, on every device
        loss_sum, right = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        per_epoch = math.ceil(len(images) / config.batch_size)
        for rows in images.rows(config.batch_size, self.generator):
            if len(rows) == 1:  # batch normalisation needs two
                continue
            inputs, labels = images.inputs[rows], images.labels[rows]
            self._set_rates(config.learning_rate_at(self.at.step, per_epoch))
            adversary = config.adversary_at(self.at.step, per_epoch)
            self.at.step += 1
            x = (_augment(inputs, self.generator) if config.augment else inputs).to(self.device)
            y = labels.to(self.device)
            soft = None if self.soft is None else self.soft[rows].to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                adversarial = None if adversary is None else adversary(self.model, x, y, self.generator)
                loss, logits = self.loss(self.model, Batch(x, y, adversarial, self.generator, soft))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            loss_sum += loss.detach() * len(y)
            right += (logits.detach().argmax(1) == y).sum()
        return {"loss": loss_sum.item() / len(images), "accuracy": right.item() / len(images)}

    def _set_rates(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if isinstance(self.loss, LossNetwork):
            for group in self.loss.optimiser.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate / self.config.learning_rate

    def _robust_accuracy(self, adversary: InnerAdversary) -> float:
        """Accuracy on the held-out images under ``adversary``."""
        self.model.eval()
        probes = self.probes.to(self.device)
        attacked = adversary(self.model, probes.inputs, probes.labels, torch.Generator().manual_seed(self.seed))
        with torch.no_grad():
            right = int((self.model(attacked).argmax(1) == probes.labels).sum())
        self.model.train()
        return right / len(probes)

    def _remember(self, robust: float) -> None:
        if robust > self.at.best:
            self.at.best, self.at.best_epoch = robust, self.at.epoch
            if self.config.keep == "best":
                self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def _out_of_patience(self) -> bool:
        patience = self.config.patience
        return patience is not None and self.at.epoch - self.at.best_epoch >= patience

    # --- what is kept from epoch to epoch ---

    def _keep(self) -> None:
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best_weights.items()}
        tensors["generator"] = self.generator.get_state()
        tensors |= _state("optimiser.", self.optimiser)
        if isinstance(self.loss, LossNetwork):
            tensors |= {f"loss.{name}": value for name, value in self.loss.state_dict().items()}
            tensors |= _state("loss optimiser.", self.loss.optimiser)
        self.checkpoint.save(tensors, vars(self.at))

    def _resume(self) -> None:
        found = self.checkpoint.load()
        if found is None:
            return
        tensors, numbers = found
        self.at = _Progress(**numbers)
        self.model.load_state_dict(_under("model.", tensors))
        self.best_weights = {name: value.to(self.device) for name, value in _under("best.", tensors).items()}
        self.generator.set_state(tensors["generator"])
        _load_state(self.optimiser, _under("optimiser.", tensors))
        if isinstance(self.loss, LossNetwork):
            self.loss.load_state_dict(_under("loss.", tensors))
            _load_state(self.loss.optimiser, _under("loss optimiser.", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name begins with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _state(prefix: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What ``optimiser`` remembers of each weight, without the learning rates, which follow from the step."""
    return {
        f"{prefix}{number}.{name}": torch.as_tensor(value)
        for number, held in optimiser.state_dict()["state"].items()
        for name, value in held.items()
    }


def _load_state(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give back what :func:`_state` took, names without the prefix."""
    state = optimiser.state_dict()
    for name, value in tensors.items():
        number, _, part = name.partition(".")
        state["state"].setdefault(int(number), {})[part] = value
    optimiser.load_state_dict(state)


def _optimiser(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    if config.optimiser == "adam":
        betas = (config.momentum, 0.999)
        return torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.optimiser == "nesterov",
    )


def _augment(x: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Each image mirrored at random, padded with zeros and cropped back at a random place."""
    count, _, height, width = x.shape
    mirrored = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, x.flip(3), x)
    padded = F.pad(mirrored, (pad,) * 4)
    top = torch.randint(2 * pad + 1, (count, 1), generator=generator) + torch.arange(height)
    left = torch.randint(2 * pad + 1, (count, 1), generator=generator) + torch.arange(width)
    rows = torch.arange(count)[:, None, None]
    # Advanced indices around a slice put the channels last.
    return padded[rows, :, top[:, :, None], left[:, None, :]].permute(0, 3, 1, 2)
