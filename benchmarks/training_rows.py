"""A training that is watched: a row in Markdown every few epochs, and each epoch kept until the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors.torch import save_model
from torch import nn

from advplug.data import Images
from advplug.training import TrainingConfig, checkpoints, fit

Describe = Callable[[], dict[str, str]]


def watched(
    file: Path,
    model: nn.Module,
    images: Images,
    config: TrainingConfig,
    *,
    every: int,
    row: Callable[[], dict[str, str]],
) -> None:
    """Train ``model`` into ``file``; a training that was stopped goes on with the same arguments.

    Parameters
    ----------
    every: epochs between two rows; there is one after the last epoch, too.
    row: describes the model, which is in evaluation mode: a cell for the head of each column.
    """
    heads: list[str] = []

    def after(epoch: int, last: int, _metrics: object) -> None:
        if epoch % every and epoch != last:
            return
        model.eval()
        cells = {"epoch": str(epoch)} | row()
        if not heads:
            heads.extend(cells)
            _line(heads)
            _line(["---:"] * len(heads))
        _line(cells.values())
        model.train()

    with checkpoints(file.with_suffix(".epochs")):
        fit(model, images, config, on_epoch=after)
    save_model(model, str(file))


def _line(cells: Iterable[str]) -> None:
    print("|", " | ".join(cells), "|", flush=True)
