"""The generative classifier's presets, their networks, their training and the calibration of the detector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from advplug.data import Images
from advplug.defense import EpochCallback, Preset
from advplug.model import DefendedModel
from advplug.threat import ThreatModel
from advplug.training import Configuration, ConfiguredDefense, TrainingConfig, seeded
from advplug_defense_generative._model import GBZ, lower_bound
from advplug_defense_generative._network import Deconvolutions, Joint, dense

WEIGHTS = Path(__file__).parent / "weights"

CALIBRATION, REJECTED = 10_000, 0.05
"""Training images from which the detector's thresholds come, and the share of them that it rejects."""

BATCH = 250


def _digits(hidden: int = 128, latent: int = 32) -> GBZ:
    """Dense layers that explain the pixels; the representation comes from two convolutions."""
    trunk = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7**2, hidden),
        nn.ReLU(),
    )
    decoder = nn.Sequential(*dense(latent, hidden, 28**2), nn.Sigmoid())
    return GBZ(Joint(nn.Flatten(), trunk, decoder, width=hidden, hidden=hidden, latent=latent))


def _published() -> GBZ:
    """The authors' networks for digits."""
    convolutions = [nn.Conv2d(inputs, 64, 5, 2, 2) for inputs in (1, 64, 64)]
    trunk = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(layer for convolution in convolutions for layer in (convolution, nn.ReLU())),
        nn.Flatten(),
        nn.Linear(64 * 4**2, 500),
        nn.ReLU(),
    )
    return GBZ(Joint(nn.Flatten(), trunk, Deconvolutions(64, 500), width=500, hidden=500, latent=64, depth=2))


def _mnist(summary: str, weights: Path | None) -> Preset:
    """A preset judged on digits that ship with the data plugin, and trained on none of them."""
    return Preset(
        summary=summary,
        data="mnist",
        threat=ThreatModel("linf", 0.3),
        weights=weights,
        train_split="train-disjoint",
        test_split="shipped",
    )


class Generative(ConfiguredDefense):
    """The generative classifier GBZ with its KL detector (Li, Bradshaw and Sharma, ICML 2019).

    ``mnist`` has smaller networks than the authors'. ``paper`` has the authors' for digits and their hyper-parameters,
    without weights.
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "mnist": _mnist("small networks that explain the pixels", WEIGHTS / "mnist.safetensors"),
        "paper": _mnist("the authors' networks for digits", None),
    }

    configurations: ClassVar[Mapping[str, Configuration]] = {
        "mnist": Configuration(
            network=_digits,
            training=TrainingConfig(epochs=12, learning_rate=2e-3, optimiser="adam", loss=lower_bound),
        ),
        "paper": Configuration(
            network=_published,
            training=TrainingConfig(
                epochs=100, learning_rate=1e-4, batch_size=50, optimiser="adam", drop_at=100, loss=lower_bound
            ),
        ),
    }

    def train(
        self, preset: str, data: Images, *, seed: int, device: torch.device | str, on_epoch: EpochCallback
    ) -> DefendedModel:
        """Train the networks, then take the detector's thresholds from the first images of ``data``.

        Raises
        ------
        InvalidInput: unknown preset, or too few images.
        """
        model = super().train(preset, data, seed=seed, device=device, on_epoch=on_epoch)
        assert isinstance(model, GBZ)
        seeded(seed, lambda: _calibrated(model, data[:CALIBRATION].to(device)))
        return model


@torch.no_grad()
def _calibrated(model: GBZ, clean: Images) -> GBZ:
    logits = torch.cat([model(part) for part in clean.inputs.split(BATCH)])
    model.detector.calibrate(logits, clean.labels, REJECTED)
    return model
