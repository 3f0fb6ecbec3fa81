"""The source of a model that tests of the command line write into a module of the user's."""

from __future__ import annotations

LIGHT = """
import torch
from advplug.model import Decision, DefendedModel

class Light(DefendedModel):
    "Class 1 where x is above 0.5; rejects what is above 0.7 in its second value."

    def __init__(self):
        super().__init__(2)
        self.inner = torch.nn.Identity()
        self.thresholds = torch.tensor([0.7])

    def forward(self, x):
        light = self.inner(x)[:, 0] - 0.5
        return torch.stack((-light, light), 1)

    def detector_scores(self, x):
        return x[:, 1]

    def decide(self, x):
        return Decision(self(x).argmax(1), self.detector_scores(x) <= self.thresholds)
"""
