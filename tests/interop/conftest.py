"""A small trained classifier on blobs that overlap a little, so that attacks win and lose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from advplug.model import PlainModel

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
