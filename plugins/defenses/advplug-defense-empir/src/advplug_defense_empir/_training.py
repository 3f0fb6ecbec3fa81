"""The training loss: every member learns alone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from advplug.training import Batch

SMOOTHING = 1 / 9
"""The true class weighs 0.9 and each of the nine others 0.1 / 9, as the authors clip their labels."""


def each_member_alone(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Sum over the members of the smoothed cross-entropy; Adam steps each weight by itself, so none sees the others.

    The logits are the mean of the members' log probabilities.
    """
    logits: Tensor = model.get_submodule("members")(batch.x)
    members = logits.log_softmax(2)
    losses = [F.cross_entropy(member, batch.y, label_smoothing=SMOOTHING) for member in members.unbind(1)]
    return sum(losses[1:], losses[0]), members.mean(1)
