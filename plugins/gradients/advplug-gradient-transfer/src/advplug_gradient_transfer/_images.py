"""What all three ask of their inputs."""

from __future__ import annotations

from torch import Tensor

from advplug.errors import InvalidInput


def check_images(x: Tensor, name: str) -> None:
    """Refuse inputs that have no rows and columns.

    Raises
    ------
    InvalidInput: ``x`` is not of shape (n, C, H, W).
    """
    if x.ndim != 4:
        raise InvalidInput(f"{name} needs images (n, C, H, W), the inputs have shape {tuple(x.shape)}: leave it out")
