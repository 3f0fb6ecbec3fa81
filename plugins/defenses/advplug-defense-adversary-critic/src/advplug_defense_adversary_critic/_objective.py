"""The game of classifier and critic (Matyasko and Chau 2018; Matyasko's thesis, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from advplug_attack_high_confidence import closest_targets, unrolled
from torch import Tensor, nn
from torch.nn import functional as F

from advplug.hyperparameters import Count, NonNegative, Positive, check_hyperparameters
from advplug.training import Batch, LearnedLoss, LossNetwork


@dataclass(frozen=True, kw_only=True)
class AdversaryCritic(LearnedLoss):
    """Cross-entropy, plus what it costs that a critic tells the adversarial images of the model from real ones.

    The adversarial images are those of the high-confidence attack towards the class of the nearest boundary. The model
    is trained through the attack: it changes where its own adversarial images lie.

    Parameters
    ----------
    critic: gives an untrained critic, from images (N, ...) to one logit for each class (N, K): is it a real one?
    classes: K.
    weight: of what the critic says, lambda; the thesis has 0.5, and 0.1 for a convolutional network.
    cycle: weight of the squared distance between an image and its adversarial image attacked back.
    slope: weight of the critic's penalty for input gradients of a length other than 1.
    steps: of the attack.
    overshoot: of the attack.
    decay: share that the running mean of the clean confidence keeps in each step.
    learning_rate: of the critic, at first; it falls as that of the model does.
    momentum: of the critic, the beta 1 of Adam.
    """

    critic: Callable[[], nn.Module]
    classes: Count
    weight: NonNegative = 0.5
    cycle: NonNegative = 0.01
    slope: NonNegative = 10.0
    steps: Count = 5
    overshoot: NonNegative = 0.05
    decay: NonNegative = 0.5
    learning_rate: Positive = 1e-3
    momentum: NonNegative = 0.5

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def begin(self) -> AgainstCritic:
        """A game with a new critic."""
        return AgainstCritic(self)


class AgainstCritic(LossNetwork):
    """One training against one critic.

    ``confidence`` (K,) is the running mean of the clean confidence in each predicted class, which the attack aims for.
    It starts at chance, where the attack hardly moves anything.
    """

    confidence: Tensor

    def __init__(self, settings: AdversaryCritic) -> None:
        super().__init__()
        self.settings = settings
        self.critic = settings.critic()
        self.register_buffer("confidence", torch.full((settings.classes,), 1 / settings.classes))
        self.optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=settings.learning_rate, betas=(settings.momentum, 0.999)
        )

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """A step of the critic, then the classifier's loss and its clean logits (N, K)."""
        logits = model(batch.x)
        sure, predicted = logits.detach().softmax(1).max(1)
        self.follow(sure, predicted)
        targets = closest_targets(model, batch.x)
        attacked = self._attack(model, batch.x, targets, self.confidence[targets])
        with torch.no_grad():
            found = model(attacked).argmax(1)
        self.teach(batch.x, batch.y, attacked.detach(), found)
        crossed = found != predicted  # an attack that failed shows the critic what it likes, and the model nothing
        back = self._attack(model, attacked.detach(), predicted, sure)
        doubt = F.softplus(-self._judged(attacked, found))  # cross-entropy with the answer "real"
        distance = (batch.x - back).flatten(1).square().sum(1)
        game = self.settings.weight * doubt + self.settings.cycle * distance
        return F.cross_entropy(logits, batch.y) + (game * crossed).sum() / crossed.sum().clamp(min=1), logits

    @torch.no_grad()
    def follow(self, sure: Tensor, predicted: Tensor) -> None:
        """Move the running means towards the confidences ``sure`` (N,) in the predicted classes (N,) of this batch."""
        members = F.one_hot(predicted, self.settings.classes).to(sure.dtype)
        counts = members.sum(0)
        means = torch.lerp(sure @ members / counts.clamp(min=1), self.confidence, self.settings.decay)
        self.confidence = torch.where(counts > 0, means, self.confidence)

    def teach(self, real: Tensor, labels: Tensor, attacked: Tensor, found: Tensor) -> None:
        """A step of the critic on real images (N, ...) of ``labels`` and on attacked ones that look like ``found``."""
        loss = torch.zeros((), device=real.device)
        for images, classes, sign in ((real, labels, -1), (attacked, found, 1)):
            x = images.detach().requires_grad_()
            said = _of(self.critic(x), classes)
            (gradient,) = torch.autograd.grad(said.sum(), x, create_graph=True)
            length = (gradient.flatten(1).square().sum(1) + 1e-8).sqrt()
            loss = loss + F.softplus(sign * said).mean() + self.settings.slope * (length - 1).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def _attack(self, model: nn.Module, x: Tensor, targets: Tensor, confidence: Tensor) -> Tensor:
        steps, overshoot = self.settings.steps, self.settings.overshoot
        return unrolled(model, x, targets, confidence, steps=steps, overshoot=overshoot)[0]

    def _judged(self, images: Tensor, classes: Tensor) -> Tensor:
        """What the critic says of ``images``, as ones of ``classes``; nothing flows into its weights."""
        self.critic.requires_grad_(False)
        said = _of(self.critic(images), classes)
        self.critic.requires_grad_(True)
        return said


def _of(values: Tensor, classes: Tensor) -> Tensor:
    """The entry of each row of ``values`` (N, K) that ``classes`` (N,) names."""
    return values.take_along_dim(classes[:, None], 1).squeeze(1)
