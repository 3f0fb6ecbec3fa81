"""Training of a network that transcribes, and the threshold of its detector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advplug.data import Images
from advplug.defense import EpochCallback
from advplug.errors import InvalidInput
from advplug.transcription import Transcriber, beginnings, ctc, lengths
from advplug_defense_temporal_dependency._model import TemporalDependency


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Adam with a learning rate that rises to ``learning_rate`` and falls again over the ``epochs``.

    Parameters
    ----------
    quietest, loudest: factors between which the loudness of each phrase is drawn, as powers of ten.
    least_noise, most_noise: the same of the standard deviation of Gaussian noise.
    beginnings: share of the batches that are cut after one of their symbols.
    """

    epochs: int = 16
    batch_size: int = 32
    learning_rate: float = 4e-3
    quietest: float = -0.6
    loudest: float = 0.2
    least_noise: float = -4.0
    most_noise: float = -2.0
    beginnings: float = 0.5


def fit(
    model: Transcriber,
    data: Images,
    schedule: Schedule,
    *,
    seed: int,
    device: torch.device | str,
    on_epoch: EpochCallback,
) -> None:
    """Train ``model`` on phrases whose symbols lie in parts of equal length, so that their beginnings are phrases too.

    Raises
    ------
    InvalidInput: phrases of different numbers of symbols, or fewer than one batch.
    """
    symbols = len(model.symbols)
    counts = lengths(data.labels, symbols)
    if len(data) < schedule.batch_size or len(counts.unique()) > 1:
        raise InvalidInput(f"training needs at least {schedule.batch_size} phrases, all of one number of symbols")
    parts, steps = int(counts[0]), len(data) // schedule.batch_size
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), schedule.learning_rate)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.learning_rate, total_steps=schedule.epochs * steps)
    model.train()
    for epoch in range(1, schedule.epochs + 1):
        total, right = 0.0, 0
        for rows in torch.randperm(len(data), generator=generator).split(schedule.batch_size)[:steps]:
            said = parts
            if float(torch.rand((), generator=generator)) < schedule.beginnings:
                said = int(torch.randint(1, parts, (), generator=generator))
            x = _augmented(data.inputs[rows], schedule, generator)[:, : _values(data, said, parts)].to(device)
            y = beginnings(data.labels[rows], torch.tensor(said), symbols).to(device)
            scores = model(x)
            loss = ctc(model, scores, y).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5)
            optimizer.step()
            rates.step()
            total += float(loss.detach())
            right += int((model.answers(scores.detach()) == y).sum())
        on_epoch(epoch, schedule.epochs, {"loss": total / steps, "accuracy": right / (steps * schedule.batch_size)})
    model.eval()


def _values(data: Images, said: int, parts: int) -> int:
    """Values of the first ``said`` of so many ``parts`` of a phrase."""
    return data.inputs.shape[1] * said // parts


def _augmented(x: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """``x`` (N, T) at another loudness, with noise."""
    level, noise = (
        10 ** (low + (high - low) * torch.rand(len(x), 1, generator=generator))
        for low, high in ((schedule.quietest, schedule.loudest), (schedule.least_noise, schedule.most_noise))
    )
    return level * x + noise * torch.randn(x.shape, generator=generator)


@torch.no_grad()
def calibrate(model: TemporalDependency, clean: Images, rate: float) -> float:
    """Set the least threshold that rejects at most the share ``rate`` of ``clean``; returns the share it rejects."""
    worst = torch.cat([model.detector_scores(x).amax(1) for x, _ in clean.batches(100)])
    model.detector.value.copy_(torch.quantile(worst, 1 - rate, interpolation="higher"))
    return float((worst > model.detector.value).double().mean())
