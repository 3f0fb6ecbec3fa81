"""A small trained classifier on blobs that overlap a little, so that attacks win and lose."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from advplug_attack_pgd import PGD
from torch import Tensor, nn

from advplug.attack import Attack
from advplug.data import Images
from advplug.model import PlainModel
from advplug.plugins.manager import default_manager, load

CLASSES, FEATURES, COUNT = 4, 12, 200


@pytest.fixture(scope="session")
def blobs() -> tuple[Tensor, Tensor]:
    """Inputs float32 (200, 12) in [0, 1] and labels int64 (200,)."""
    generator = torch.Generator().manual_seed(0)
    centres = 0.3 + 0.4 * torch.rand(CLASSES, FEATURES, generator=generator)
    labels = torch.arange(COUNT) % CLASSES
    noise = 0.12 * torch.randn(COUNT, FEATURES, generator=generator)
    return (centres[labels] + noise).clamp(0, 1), labels


@pytest.fixture(scope="session")
def network(blobs: tuple[Tensor, Tensor]) -> nn.Sequential:
    """A trained multilayer perceptron in evaluation mode."""
    inputs, labels = blobs
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, CLASSES))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs), labels).backward()
            optimizer.step()
    net.zero_grad()
    return net.eval()


@pytest.fixture
def model(network: nn.Sequential) -> PlainModel:
    return PlainModel(network, CLASSES).eval()


# --- every installed attack of advplug's own, made short ---

SHORT: dict[str, Any] = {
    "augmentations": 1,
    "bisections": 3,
    "coordinates": 12,
    "epochs": 5,
    "members": 1,
    "num_images": 40,
    "num_targets": 2,
    "queries": 60,
    "search_steps": 3,
    "steps": 8,
    "steps_per_set": 8,
    "updates": 10,
}
"""Values of the parameters that make attacks long."""

OTHER: dict[str, dict[str, Any]] = {
    "cw-l0": {"steps": 40},
    "fgm-steps": {"steps": 25, "multiplier": 5e-3},
    "interpolation": {"attack": PGD(steps=8, judge="last")},
    "transfer": {"settings": {"steps": 8}},
    "trust-region": {"steps": 40, "radius": 0.02},
}
"""For those that find nothing in so few steps, and those that are long because of an attack inside."""


@pytest.fixture(params=[spec.name for spec in default_manager().specs("attack") if not spec.bridged])
def attack(request: pytest.FixtureRequest) -> Attack:
    kind = load(f"attack:{request.param}")
    values = {**SHORT, **OTHER.get(request.param, {})}
    made: Attack = kind(**{name: values[name] for name in inspect.signature(kind).parameters if name in values})
    return made


@pytest.fixture
def few(blobs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Twelve of the blobs."""
    return blobs[0][:12], blobs[1][:12]


@pytest.fixture
def own(blobs: tuple[Tensor, Tensor]) -> Images:
    """The attacker's own images, for attacks that need some."""
    return Images(blobs[0][40:], blobs[1][40:])
