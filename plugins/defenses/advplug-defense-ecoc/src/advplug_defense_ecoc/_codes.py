"""The code: one codeword of +1 and -1 for each class."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SEED = 59
"""Of the authors' shuffle, so that the code is theirs."""


def codewords(length: int) -> Tensor:
    """The authors' code, float32 (length, length): a codeword of ``length`` bits in each row.

    Sylvester's Hadamard matrix with the first column made useful (it is constant; every second row gets -1), rows and
    columns shuffled. Different rows agree in at most half of their bits. Only as many rows as there are classes stand
    for a class; the others are answers that are always wrong.

    Parameters
    ----------
    length: a power of two.
    """
    code = np.ones((1, 1), np.float32)
    while len(code) < length:
        code = np.kron(np.array([[1, 1], [1, -1]], np.float32), code)
    code[::2, 0] = -1
    shuffle = np.random.RandomState(SEED)  # the generator that the authors used
    shuffle.shuffle(code)
    return torch.from_numpy(np.ascontiguousarray(code[:, shuffle.permutation(length)]))
