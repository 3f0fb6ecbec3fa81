"""ART classifiers from our models, and models from ART's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, cast

import torch
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from advplug.engine.frozen import device_of
from advplug.errors import InvalidInput
from advplug.interop.arrays import tensor_of
from advplug.interop.inner import as_inner, declare_like, offered
from advplug.model import Capabilities, Decision, DefendedModel, check_scores_classes, scores_in


def as_art_classifier(
    model: DefendedModel,
    input_shape: tuple[int, ...],
    *,
    loss: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> PyTorchClassifier:
    """``model`` as an ART classifier with its bounds, on the device where it is.

    ART sees scores alone; for what the defense rejects see :func:`as_art_detector`. A ``stochastic`` model draws anew
    in every pass, from torch's global generator, which nothing seeds or restores; ART's ``predict`` draws from it, too.
    ART's own attacks leave weight gradients in ``.grad`` of the model.

    Parameters
    ----------
    input_shape: of one input, without the batch.
    loss: None for cross-entropy.
    optimizer: for ART's ``fit``, such as in adversarial training.
    """
    return make_classifier(model, model, input_shape, device_of(model), loss=loss, optimizer=optimizer)


def make_classifier(
    module: nn.Module,
    model: DefendedModel,
    input_shape: tuple[int, ...],
    device: torch.device | None,
    *,
    loss: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> PyTorchClassifier:
    """An ART classifier on ``module`` with the classes and bounds of ``model``, on ``device``."""
    check_scores_classes(model)
    on_gpu = device is not None and device.type == "cuda"
    # ART takes whichever device is current
    with torch.cuda.device(device) if on_gpu else nullcontext():
        return PyTorchClassifier(
            model=module,
            loss=loss or nn.CrossEntropyLoss(),
            optimizer=optimizer,
            input_shape=input_shape,
            nb_classes=model.num_classes,
            clip_values=model.bounds,
            device_type="gpu" if on_gpu else "cpu",
        )


class ArtBackedModel(DefendedModel):
    """An ART classifier with its preprocessing and postprocessing.

    Scores are those of ART's ``predict``. Gradients pass torch preprocessing by its ``estimate_forward`` where it has
    its own, numpy preprocessing by its ``estimate_gradient`` (both of which ART's gradients may miss), and
    postprocessing as if it were not there. The scores of several samples that a preprocessor makes of an input are
    averaged. What the module inside declares, offers and rejects holds for the whole.
    """

    def __init__(self, classifier: PyTorchClassifier, bounds: tuple[float, float], stochastic: bool | None) -> None:
        super().__init__(int(classifier.nb_classes), bounds)
        self.classifier = classifier
        self.network = classifier._model
        self.inner = as_inner(classifier.model, self.num_classes, bounds)
        declare_like(self, self.inner)
        if stochastic is not None:
            self.stochastic = stochastic

    @property
    def rejects(self) -> bool:
        return self.inner.rejects

    @property
    def capabilities(self) -> Capabilities:
        """What the module inside offers beyond scores, after the preprocessing."""
        return offered(self.inner, lambda offer: partial(self._averaged, offer))

    def decide(self, x: Tensor) -> Decision:
        if not self.rejects:
            return super().decide(x)
        inputs = self._preprocessed(x)
        if len(inputs) != len(x):
            raise InvalidInput(
                f"the preprocessing makes {len(inputs)} inputs of {len(x)}, and decisions have no average: "
                "let the transformation make one sample"
            )
        decision = self.inner.decide(inputs)
        if not self.classifier.postprocessing_defences:
            return decision
        return Decision(self(x).argmax(1), decision.accepted)

    def _preprocessed(self, x: Tensor) -> Tensor:
        for step in self.classifier.preprocessing_operations:
            if step.apply_predict:
                x = _preprocess(step, x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return postprocessed(self.classifier, self._averaged(self._scores, x))

    def _scores(self, x: Tensor) -> Tensor:
        return scores_in(self.network(x)[-1], None, x.device)

    def _averaged(self, function: Callable[..., Tensor], x: Tensor, *rest: Any) -> Tensor:
        """``function`` (n, ...) of the preprocessed ``x``; the mean over the samples that are made of each input."""
        values = function(self._preprocessed(x), *rest)
        return values if len(values) == len(x) else values.unflatten(0, (len(x), -1)).mean(1)


def postprocessed(estimator: Any, scores: Tensor) -> Tensor:
    """``scores`` (n, K) after the estimator's postprocessing, differentiated as if it were not there."""
    if not estimator.postprocessing_defences:
        return scores
    answer = estimator._apply_postprocessing(scores.detach().cpu().numpy(), fit=False)
    return scores + (tensor_of("the postprocessed scores", answer).to(scores) - scores).detach()


def _preprocess(step: Any, x: Tensor) -> Tensor:
    if not isinstance(step, PreprocessorPyTorch):
        return cast(Tensor, _NumpyStep.apply(x, step))  # type: ignore[no-untyped-call]
    value = cast(Tensor, step.forward(x)[0])
    if type(step).estimate_forward is PreprocessorPyTorch.estimate_forward or not x.requires_grad:
        return value
    stand_in = cast(Tensor, step.estimate_forward(x))
    return stand_in + (value - stand_in).detach()


class _NumpyStep(torch.autograd.Function):
    """A numpy preprocessor, differentiated by its own ``estimate_gradient``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.step = step
        return tensor_of("the preprocessed inputs", step(x.detach().cpu().numpy())[0]).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        estimate = ctx.step.estimate_gradient(x.detach().cpu().numpy(), gradient.cpu().numpy())
        return tensor_of("estimate_gradient", estimate).to(gradient), None
