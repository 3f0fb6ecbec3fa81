"""Real digits and trained networks that ship with plugins, for the tests of attacks."""

from __future__ import annotations

from functools import cache

from torch import Tensor, nn

from advplug.plugins.manager import load


@cache
def shipped_digits(preset: str, count: int = 20, defense: str = "kwta") -> tuple[nn.Module, Tensor, Tensor]:
    """A trained network with frozen parameters, and those of the first ``count`` shipped digits that it gets right.

    Returns ``net``, float32 (n, 1, 28, 28) in [0, 1] and int64 (n,). Skips the calling test where the plugins that
    bring them are not installed: an attack's own tests must pass with only what it declares.

    Parameters
    ----------
    preset: of ``defense``, trained on digits: of ``kwta`` mnist-relu (plain) or mnist-at, of ``adversarial-training``
        mnist, mnist-linf or mnist-l2.
    """
    import pytest

    for package in ("advplug_data_mnist", f"advplug_defense_{defense.replace('-', '_')}"):
        pytest.importorskip(package)
    net: nn.Module = load(f"defense:{defense}")().build(preset).requires_grad_(False)
    digits = load("data:mnist")().load("shipped", count)
    right = net(digits.inputs).argmax(1) == digits.labels
    return net, digits.inputs[right], digits.labels[right]
