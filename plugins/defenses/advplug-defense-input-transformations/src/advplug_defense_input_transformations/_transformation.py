"""What every transformation has: its images, and a stand-in that has a gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from advplug.errors import InvalidInput
from advplug.hyperparameters import check_hyperparameters


class Transformation(ABC):
    """A change of images (N, C, H, W) in [0, 1] that keeps their range; subclasses are frozen dataclasses.

    A subclass sets the properties that differ, as in ``random = True``.
    """

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    @property
    def random(self) -> bool:
        """Whether every image gets a draw of its own."""
        return False

    @property
    def differentiable(self) -> bool:
        """Whether the gradient of :meth:`__call__` is of use to an attack."""
        return False

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """``x`` (N, C, H, W) in [0, 1], transformed; draws are from ``generator`` on the CPU, or torch's global one."""

    def smooth(self, x: Tensor) -> Tensor:
        """What backward passes take for the transformation: the identity, unless a subclass knows better."""
        return x

    def surrogate(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The transformed images, with the gradient of :meth:`smooth` where their own is of no use.

        This is backward-pass differentiable approximation (Athalye et al. 2018, sec. 4.1): the classifier behind it is
        differentiated where it really is.
        """
        if self.differentiable:
            return self(x, generator)
        smooth = self.smooth(x)
        return smooth + (self(x.detach(), generator) - smooth).detach()


def uniform(x: Tensor, generator: torch.Generator | None, *below: Tensor | int) -> list[Tensor]:
    """For each of ``below`` whole numbers (N,) from 0 up to it, exclusive; drawn on the CPU for all devices."""
    draws = torch.rand(len(below), len(x), generator=generator).to(x.device)
    return [(draw * limit).long() for draw, limit in zip(draws, below, strict=True)]


def side_of(x: Tensor, name: str) -> int:
    """Height and width of square images (N, C, H, W).

    Raises
    ------
    InvalidInput: they are no images, or not square.
    """
    if x.ndim != 4 or x.shape[2] != x.shape[3]:
        raise InvalidInput(f"{name} takes square images (N, C, H, H), not {tuple(x.shape)}: crop or pad them first")
    return x.shape[3]
