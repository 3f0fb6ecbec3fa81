"""The mixup inference defense: its presets, their networks, pools and training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from advplug import load
from advplug.data import Images
from advplug.defense import EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Adversary, Configuration, ConfiguredDefense, TrainingConfig, fit
from advplug_defense_mixup_inference._model import Mixing, Unmixed
from advplug_defense_mixup_inference._networks import resnet50, small
from advplug_defense_mixup_inference._training import interpolated_adversarial, mixup

WEIGHTS = Path(__file__).parent / "weights"
POOL = 1000
"""Images to mix with; they are neither trained on nor among the first that the defense is judged on."""

FIRST_DIGIT = 8000
"""Of the pool, among those that ship; the last ones of all hold too few fives."""

MNIST_EPSILON, CIFAR_EPSILON = 0.07, 4 / 255
"""Where perturbations of the network alone begin to fail against the mixing."""

TRAINED_EPSILON = 8 / 255
"""Budget of interpolated adversarial training, and of the presets that had it."""


def _digits() -> nn.Module:
    return small(1, 28, widths=(16, 32, 32), strides=(2, 2, 1))


def _colour() -> nn.Module:
    return small(3, 32, widths=(24, 32, 48, 64), strides=(2, 2, 1, 2))


MNIST_MIXED = TrainingConfig(epochs=3, learning_rate=0.1, loss=mixup)
CIFAR_MIXED = TrainingConfig(epochs=4, learning_rate=0.1, augment=True, loss=mixup)
CIFAR_TRAINED = TrainingConfig(
    epochs=5,
    learning_rate=0.1,
    augment=True,
    # A single step a quarter longer than the budget (Wong et al. 2020); the authors take ten.
    adversary=Adversary(epsilon=TRAINED_EPSILON, step_size=1.25 * TRAINED_EPSILON, steps=1),
    loss=interpolated_adversarial,
)


def _mnist(summary: str) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", MNIST_EPSILON),
        weights=WEIGHTS / "mnist.safetensors",
        train_split="train-disjoint",
        test_split="shipped",
    )


def _cifar10(summary: str, epsilon: float, name: str | None) -> Preset:
    weights = None if name is None else WEIGHTS / f"{name}.safetensors"
    return Preset(summary=summary, data="cifar10", threat=ThreatModel("linf", epsilon), weights=weights)


class MixupInference(ConfiguredDefense):
    """Mixup inference with other labels (Pang, Xu and Zhu, ICLR 2020).

    ``mnist`` and ``cifar10`` mix over a small network that was trained with mixup, ``-iat`` over one of interpolated
    adversarial training; ``-base`` marks the control, the same network without the mixing. ``paper`` is the authors'
    ResNet-50 with their hyper-parameters, without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small network, mixup training"),
        "mnist-base": _mnist("control: the network of mnist, not mixed"),
        "cifar10": _cifar10("small network, mixup training", CIFAR_EPSILON, "cifar10"),
        "cifar10-base": _cifar10("control: the network of cifar10, not mixed", CIFAR_EPSILON, "cifar10"),
        "cifar10-iat": _cifar10("small network, interpolated adversarial training", TRAINED_EPSILON, "cifar10-iat"),
        "cifar10-iat-base": _cifar10("control: the network of cifar10-iat, not mixed", TRAINED_EPSILON, "cifar10-iat"),
        "paper": _cifar10("the authors' ResNet-50, interpolated adversarial training", TRAINED_EPSILON, None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(network=lambda: Mixing(_digits(), share=0.5), training=MNIST_MIXED),
        "mnist-base": Configuration(network=lambda: Unmixed(_digits()), training=MNIST_MIXED),
        "cifar10": Configuration(network=lambda: Mixing(_colour(), share=0.5), training=CIFAR_MIXED),
        "cifar10-base": Configuration(network=lambda: Unmixed(_colour()), training=CIFAR_MIXED),
        "cifar10-iat": Configuration(network=lambda: Mixing(_colour(), share=0.6), training=CIFAR_TRAINED),
        "cifar10-iat-base": Configuration(network=lambda: Unmixed(_colour()), training=CIFAR_TRAINED),
        # The authors divide the rate by ten at epoch 100 and again at 150.
        "paper": Configuration(
            network=lambda: Mixing(resnet50(), share=0.6),
            training=TrainingConfig(
                epochs=200,
                learning_rate=0.1,
                batch_size=64,
                augment=True,
                drop_at=100,
                adversary=Adversary(epsilon=TRAINED_EPSILON, step_size=2 / 255, steps=10),
                loss=interpolated_adversarial,
            ),
        ),
    }

    def build(self, preset: str, device: torch.device | str = "cpu", weights: Path | None = None) -> DefendedModel:
        """The model with its weights and its pool, in evaluation mode; see :class:`advplug.Defense`.

        Raises
        ------
        DataUnavailable: the pool is not here; that of the digits ships with their data plugin.
        """
        model = super().build(preset, device, weights)
        if isinstance(model, Mixing):
            model.admit(self.pool(preset))
        return model

    def pool(self, preset: str) -> Images:
        """The images to mix with: the first that CIFAR-10 trains on, or the shipped digits from ``FIRST_DIGIT`` on."""
        data = self.preset(preset).data
        if data == "mnist":
            return load("data:mnist")().load("shipped")[FIRST_DIGIT : FIRST_DIGIT + POOL]  # type: ignore[no-any-return]
        return load(f"data:{data}")().load("train", POOL)  # type: ignore[no-any-return]

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the network under the defense on all but the first ``POOL`` images, which become the pool.

        Raises
        ------
        InvalidInput: unknown preset, too few images, or no image of a class in the pool.
        """
        own = POOL if len(data) > 2 * POOL else 0  # a handful of images serves as both
        model = self.initial(preset, data, seed)
        assert isinstance(model, Mixing | Unmixed)
        fit(model.base, data[own:], self.configurations[preset].training, seed=seed, device=device, on_epoch=on_epoch)
        if isinstance(model, Mixing):
            model.to(device).admit(data[:own] if own else data)
        return model.to(device).eval()
