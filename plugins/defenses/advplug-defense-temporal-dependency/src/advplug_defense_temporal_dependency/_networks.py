"""Networks that transcribe: a small one for digits, and the architecture that the authors used."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advplug.transcription import Transcriber

DIGITS = tuple("0123456789")
RATE = 8000


class LogMel(nn.Module):
    """Logarithms of the energy in overlapping bands of the mel scale, (N, bands, T // hop + 1) for sound (N, T)."""

    bands: Tensor
    window: Tensor

    def __init__(self, bands: int = 40, window: int = 256, hop: int = 80, floor: float = 1e-3) -> None:
        super().__init__()
        self.hop, self.floor = hop, floor
        self.register_buffer("bands", mel_bands(bands, window // 2 + 1), persistent=False)
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        size = len(self.window)
        window = self.window.to(x)
        waves = torch.stft(x, size, self.hop, window=window, center=True, pad_mode="constant", return_complex=True)
        return torch.log(self.bands.to(x) @ (waves.real.square() + waves.imag.square()) + self.floor)


def mel_bands(count: int, bins: int, lowest: float = 60.0, highest: float = 3900.0) -> Tensor:
    """Triangles of equal width on the mel scale, (count, bins), for frequencies from 0 to half the rate."""
    edges = torch.linspace(_mel(lowest), _mel(highest), count + 2, dtype=torch.float64)
    edges = 700 * (10 ** (edges / 2595) - 1)
    at = torch.linspace(0, RATE / 2, bins, dtype=torch.float64)
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).float()


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)


def with_gradients(layer: nn.GRU | nn.LSTM, x: Tensor) -> Tensor:
    """The outputs of a recurrent ``layer``, with gradients in evaluation mode, too, where cuDNN would refuse them."""
    with torch.backends.cudnn.flags(enabled=layer.training):
        return cast(Tensor, layer(x)[0])


class DigitNet(Transcriber):
    """Log-mel bands, two convolutions that keep every fourth frame, and a recurrent layer in both directions, twice.

    Each band is normalised over the whole sound, as recognisers usually do. 25 frames a second.

    Parameters
    ----------
    channels: of the convolutions.
    hidden: units of a recurrent layer, in each direction.
    """

    def __init__(self, channels: int = 64, hidden: int = 64) -> None:
        super().__init__(DIGITS)
        self.bands = LogMel()
        self.convolutions = nn.Sequential(
            nn.Conv1d(40, channels, 5, 2, 2),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 5, 2, 2),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
        )
        self.recurrent = nn.GRU(channels, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.readout = nn.Linear(2 * hidden, len(DIGITS) + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities of each frame in a row, (N, frames * 11), for sound (N, T) in [-1, 1]."""
        bands = self.bands(x)
        bands = (bands - bands.mean(2, keepdim=True)) / (bands.std(2, keepdim=True) + 0.5)
        hidden = with_gradients(self.recurrent, self.convolutions(bands).transpose(1, 2))
        return cast(Tensor, self.readout(hidden).log_softmax(-1).flatten(1))


class DeepSpeech(Transcriber):
    """The recogniser of the paper, DeepSpeech (Hannun et al. 2014) in Mozilla's first version, for digits at 8 kHz.

    Twenty-six cepstral coefficients of each frame of 20 ms, with nine frames on either side; three dense layers, a
    recurrent layer in both directions, a dense layer. The authors' one has letters, and reads them by a beam search.

    Parameters
    ----------
    width: units of a layer.
    """

    cosines: Tensor

    def __init__(self, width: int = 2048, coefficients: int = 26, context: int = 9) -> None:
        super().__init__(DIGITS)
        self.bands, self.context = LogMel(hop=RATE // 50), context
        places = torch.arange(40) + 0.5
        cosines = torch.cos(math.pi / 40 * torch.arange(coefficients)[:, None] * places)
        self.register_buffer("cosines", cosines, persistent=False)
        self.dense = nn.ModuleList(
            nn.Linear(inputs, width) for inputs in (coefficients * (2 * context + 1), width, width)
        )
        self.recurrent = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.last = nn.Linear(2 * width, width)
        self.readout = nn.Linear(width, len(DIGITS) + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities of each frame in a row, (N, frames * 11), for sound (N, T) in [-1, 1]."""
        cepstra = self.cosines.to(x) @ self.bands(x)
        windows = F.pad(cepstra, (self.context, self.context)).unfold(2, 2 * self.context + 1, 1)
        hidden = windows.transpose(1, 2).flatten(2)
        for layer in self.dense:
            hidden = layer(hidden).clamp(0, 20)
        hidden = with_gradients(self.recurrent, hidden)
        return cast(Tensor, self.readout(self.last(hidden).clamp(0, 20)).log_softmax(-1).flatten(1))
