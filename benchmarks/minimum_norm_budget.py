"""Networks that count what an attack asks of them, and one that keeps the best of what its budget pays for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from advplug.numerics.tensors import norms

ROUNDING = 1e-6
"""What float32 cannot avoid: a value that an l0 attack changed by no more counts as left alone."""


class Enough(Exception):
    """The budget of every image is used up."""


class CountedNet(nn.Module):
    """A network that counts the inputs that go forward, and the gradients of scores that come back."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.forwards = self.backwards = 0

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        self.forwards += len(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        hides = torch._C._functorch
        if hides.is_legacy_batchedtensor(gradient) or hides.is_batchedtensor(gradient):
            raise RuntimeError("gradients under vmap (is_grads_batched) look like one: they cannot be counted")
        self.backwards += len(gradient)


class BudgetedNet(CountedNet):
    """Keeps the nearest point of each image that is asked within its budget and misclassified, as AttackBench does.

    A batch with a row for each image has them in order. Of any other batch, each row belongs to the image that it is
    nearest to in L2, since attacks drop images that are done, and try several points for each.

    Parameters
    ----------
    net: the network.
    x: the images (N, ...) in [0, 1].
    y: their labels (N,).
    norm: the one that distances are measured in.
    most: forwards of each image, and backwards.
    """

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, norm: str, most: int) -> None:
        super().__init__(net)
        self.clean, self.label, self.norm, self.most = x, y, norm, most
        self.asked, self.returned = (torch.zeros(len(x), dtype=torch.int64) for _ in range(2))
        self.best, self.least = x.clone(), torch.full((len(x),), torch.inf, dtype=torch.float64)

    @property
    def spent(self) -> Tensor:
        """The images whose budget is used up, bool (N,)."""
        return (self.asked >= self.most) | (self.returned >= self.most)

    @property
    def overdrawn(self) -> Tensor:
        """The images for which the attack asked for more, bool (N,)."""
        return (self.asked > self.most) | (self.returned > self.most)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K).

        Raises
        ------
        Enough: no image has anything left.
        """
        if bool(self.spent.all()):
            self.asked += 1
            raise Enough
        owner = self._owner(x.detach())
        paid = ~self.spent[owner]
        self.asked += owner.bincount(minlength=len(self.clean))
        logits = super().forward(x)
        if logits.requires_grad:
            logits.register_hook(lambda _: self._charge(owner))
        self._keep(x.detach(), logits.detach(), owner, paid)
        return logits

    def _charge(self, owner: Tensor) -> None:
        self.returned += owner.bincount(minlength=len(self.clean))

    def _owner(self, x: Tensor) -> Tensor:
        if len(x) == len(self.clean):
            return torch.arange(len(x))
        return torch.cdist(x.flatten(1).to(self.clean), self.clean.flatten(1)).argmin(1)

    def _keep(self, x: Tensor, logits: Tensor, owner: Tensor, paid: Tensor) -> None:
        clean = self.clean[owner]
        points = x.to(clean)
        if self.norm == "l0":
            points = torch.where((points - clean).abs() <= ROUNDING, clean, points)
        inside = ((points >= -ROUNDING) & (points <= 1 + ROUNDING)).flatten(1).all(1)
        good = inside & paid & (logits.argmax(1) != self.label[owner])
        distance = torch.where(good, norms(points.double() - clean.double(), self.norm), torch.inf)
        for row in (distance < self.least[owner]).nonzero().flatten().tolist():
            image = owner[row]
            if distance[row] < self.least[image]:
                self.best[image], self.least[image] = points[row], distance[row]
