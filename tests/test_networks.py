"""The common parts of small networks: what comes out, and the names of the weights."""

from __future__ import annotations

import torch
from torch import nn

from advplug.families.networks import SequentialModel, convolutions


def test_a_sequential_model_answers_what_its_layers_give() -> None:
    layers = (nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3))
    model = SequentialModel(*layers, num_classes=3, bounds=(-1.0, 1.0))
    x = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(x), nn.Sequential(*layers)(x))
    assert (model.num_classes, model.bounds, model.rejects) == (3, (-1.0, 1.0), False)
    # Shipped weights are found by these names.
    assert list(model.state_dict()) == ["layers.1.weight", "layers.1.bias", "layers.3.weight", "layers.3.bias"]


def test_convolutions_chain_their_channels_and_strides() -> None:
    layers = nn.Sequential(*convolutions(2, ((4, 2), (6, 1), (3, 2))))
    responses = layers(torch.rand(5, 2, 9, 8, generator=torch.Generator().manual_seed(0)))
    assert responses.shape == (5, 3, 3, 2)
    assert responses.min() == 0
    assert [(c.in_channels, c.out_channels, c.stride[0]) for c in layers if isinstance(c, nn.Conv2d)] == [
        (2, 4, 2),
        (4, 6, 1),
        (6, 3, 2),
    ]
    alone = layers[:3](torch.zeros(5, 2, 9, 8))
    assert torch.equal(alone, torch.zeros(5, 4, 5, 4))  # no bias in front of the normalisation
