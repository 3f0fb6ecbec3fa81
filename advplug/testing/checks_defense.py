"""Checks of a defense: its presets, its weights, its models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from advplug.data import Dataset
from advplug.defense import Defense, Preset
from advplug.errors import DataUnavailable, InvalidInput, MissingWeights
from advplug.model import DefendedModel
from advplug.testing.defenses import Built
from advplug.testing.offline import offline
from advplug.testing.subject import NotApplicable, Subject, require

LARGEST = 2_000_000
RECORDED = ("command", "seed")


def check_presets_are_described(subject: Subject) -> None:
    """There are presets, each with a one-line summary and a budget."""
    presets = _defense(subject).presets
    require(presets, "presets is empty: name at least one")
    for name, preset in presets.items():
        require(isinstance(preset, Preset), f"preset {name} is {preset!r}: make it an advplug.Preset")
        summary = preset.summary.strip()
        require(summary and "\n" not in summary, f"preset {name}: write its summary in one line")
        require(not preset.threat.targeted, f"preset {name}: the claim of a defense covers untargeted attacks too")


def check_judged_on_known_data(subject: Subject) -> None:
    """The data of every preset is an installed plugin that has its splits."""
    for name, preset in _defense(subject).presets.items():
        found = [spec for spec in subject.manager.specs("data") if spec.name == preset.data]
        require(found, f"preset {name}: no data:{preset.data} is installed; declare advplug-data-{preset.data}")
        dataset: type[Dataset] = subject.manager.load(f"data:{preset.data}")
        for split in (preset.train_split, preset.test_split):
            require(split in dataset.splits, f"preset {name}: data:{preset.data} has no split {split}")


def check_builds_shipped_presets(subject: Subject) -> None:
    """Every preset with shipped weights builds a DefendedModel in evaluation mode, unless its data is not here."""
    defense = _defense(subject)
    for name in Built(defense, subject.manager).shipped:
        try:
            with offline():
                model: Any = defense.build(name)
        except DataUnavailable:
            continue
        except Exception as error:
            raise AssertionError(f"preset {name} does not build: {error}") from error
        require(isinstance(model, DefendedModel), f"preset {name} builds {type(model).__name__}, not a DefendedModel")
        training = [part for part in model.modules() if part.training]
        require(not training, f"preset {name}: {len(training)} modules are in training mode: end build with .eval()")


def check_weights_are_small_and_recorded(subject: Subject) -> None:
    """Weights are safetensors under 2 MB, each beside a JSON record of the command and seed that made it."""
    for name, preset in _built(subject).shipped.items():
        path = preset.weights
        assert path is not None
        require(path.suffix == ".safetensors", f"preset {name}: {path.name} is no safetensors file")
        require(path.is_file(), f"preset {name}: {path} is not there: is it in the wheel?")
        size = path.stat().st_size
        require(size < LARGEST, f"preset {name}: {size:,} bytes of weights, keep them below {LARGEST:,}")
        record = path.with_suffix(".json")
        require(record.is_file(), f"preset {name}: no {record.name} beside the weights: advplug train writes it")
        missing = set(RECORDED) - json.loads(record.read_text(encoding="utf-8")).keys()
        require(not missing, f"{record.name} does not record {', '.join(sorted(missing))}")


def check_names_missing_weights(subject: Subject) -> None:
    """A file of weights that is not there raises MissingWeights, and so does a preset that ships none."""
    defense = _defense(subject)
    for name, preset in defense.presets.items():
        for weights in (Path("no-such-folder/weights.safetensors"), None):
            if weights is None and preset.weights is not None:
                continue
            try:
                defense.build(name, weights=weights)
            except MissingWeights:
                continue
            except Exception as error:
                raise AssertionError(f"{name}: missing weights raise {error!r}: raise MissingWeights") from error
            raise AssertionError(f"{name} builds without its weights: leave build to advplug.Defense")


def check_refuses_unknown_presets(subject: Subject) -> None:
    """An unknown preset raises InvalidInput, in every method that takes one."""
    defense = _defense(subject)
    for method in (defense.preset, defense.network, defense.build):
        try:
            method("no-such-preset")
        except InvalidInput:
            continue
        except Exception as error:
            raise AssertionError(
                f"{method.__name__} of an unknown preset raises {error!r}: call self.preset first"
            ) from error
        raise AssertionError(f"{method.__name__} takes an unknown preset: call self.preset first")


@torch.no_grad()
def check_logits_are_finite(subject: Subject) -> None:
    """Scores are finite and of shape (N, num_classes) on images of the preset's data."""
    for name, model, x in _built(subject).cases:
        scores = model(x)
        count = model.num_classes if model.scores_classes else scores[0].numel()
        shape, expected = tuple(scores.shape), (len(x), count)
        require(shape == expected, f"preset {name}: scores have shape {shape}, not (N, num_classes) = {expected}")
        require(scores.isfinite().all(), f"preset {name}: scores are NaN or infinite: compute in log space or clamp")


@torch.no_grad()
def check_decides(subject: Subject) -> None:
    """``decide`` gives a class int64 (N,) and whether it is accepted bool (N,); without rejection the likeliest one."""
    for name, model, x in _built(subject).cases:
        torch.manual_seed(0)
        decision = model.decide(x)
        labels, accepted = decision.labels, decision.accepted
        require(labels.dtype == torch.int64 and labels.shape == (len(x),), f"preset {name}: labels are not int64 (N,)")
        fine = accepted.dtype == torch.bool and accepted.shape == (len(x),)
        require(fine, f"preset {name}: accepted is {accepted.dtype} {tuple(accepted.shape)}: give bool (N,)")
        if not model.rejects:
            torch.manual_seed(0)
            require(torch.equal(labels, model.answers(model(x))), f"preset {name}: decide disagrees with forward")


@torch.no_grad()
def check_is_deterministic_or_says_so(subject: Subject) -> None:
    """Equal inputs get equal scores; if ``stochastic``, under equal seeds."""
    for name, model, x in _built(subject).cases:
        scores = []
        for _ in range(2):
            if model.stochastic:
                torch.manual_seed(0)
            scores.append(model(x))
        advice = "draw from torch's generator" if model.stochastic else "set stochastic = True"
        require(torch.equal(*scores), f"preset {name}: two passes over the same inputs differ: {advice}")


@torch.no_grad()
def check_does_not_mix_the_batch(subject: Subject) -> None:
    """An input gets the same scores alone and among others."""
    for name, model, x in _built(subject).cases:
        if not model.stochastic:
            alone = torch.cat([model(x[i : i + 1]) for i in range(len(x))])
            same = torch.allclose(alone, model(x), rtol=1e-3, atol=1e-4)
            require(same, f"preset {name}: scores depend on the other inputs: use no statistics of the batch")


def check_forward_changes_nothing(subject: Subject) -> None:
    """A forward and backward pass over the inputs leaves parameters, buffers and modes of the model as they were."""
    for name, model, x in _built(subject).cases:
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        before = {key: value.detach().clone() for key, value in tensors.items()}
        modes = [part.training for part in model.modules()]
        scores = model(x.clone().requires_grad_())
        if scores.requires_grad:
            torch.autograd.grad(scores.sum(), list(model.parameters()), allow_unused=True)
        changed = [key for key, value in tensors.items() if not torch.equal(value, before[key])]
        require(not changed, f"preset {name}: forward changes {', '.join(changed)}: keep no state between calls")
        require([part.training for part in model.modules()] == modes, f"preset {name}: forward changes the mode")


@torch.no_grad()
def check_offers_have_their_shape(subject: Subject) -> None:
    """What it offers beyond scores has the shape that losses and searches expect."""
    for name, model, x in _built(subject).cases:
        count, classes = len(x), model(x).shape[1]
        found: dict[str, tuple[Tensor, bool]] = {}
        offers = model.capabilities
        if offers.features is not None:
            found["features (N, D)"] = (y := offers.features(x)), y.ndim == 2
        if offers.detector_scores is not None:
            found["detector_scores (N,) or (N, S)"] = (y := offers.detector_scores(x)), y.ndim in (1, 2)
        if offers.surrogate is not None:
            found["surrogate (N, K)"] = (y := offers.surrogate(x)), y.shape == (count, classes)
        if offers.sample is not None:
            draws = offers.sample(x, torch.Generator().manual_seed(0))
            found["sample (N, K)"] = draws, draws.shape == (count, classes)
        for form, (y, fine) in found.items():
            require(fine and len(y) == count, f"preset {name}: {form} has shape {tuple(y.shape)} for {count} inputs")


@torch.no_grad()
def check_works_in_foolbox(subject: Subject) -> None:
    """``as_foolbox_model`` gives the same scores."""
    try:
        from advplug.interop import as_foolbox_model
    except ModuleNotFoundError as error:
        raise NotApplicable(f"{error.name} is not installed") from error
    for name, model, x in _of_classes(subject):
        torch.manual_seed(0)
        expected = model(x)
        torch.manual_seed(0)
        same = torch.allclose(as_foolbox_model(model)(x), expected, atol=1e-4)
        require(same, f"preset {name}: Foolbox sees other scores")


@torch.no_grad()
def check_works_in_art(subject: Subject) -> None:
    """``as_art_classifier`` gives the same scores; a ``stochastic`` model any, as ART draws random numbers itself."""
    try:
        from advplug.interop import as_art_classifier
    except ModuleNotFoundError as error:
        raise NotApplicable(f"{error.name} is not installed") from error
    for name, model, x in _of_classes(subject):
        expected = model(x)
        found = torch.as_tensor(as_art_classifier(model, tuple(x.shape[1:])).predict(x.numpy()))
        same = found.shape == expected.shape and (model.stochastic or torch.allclose(found, expected, atol=1e-4))
        require(same, f"preset {name}: ART sees other scores")


@torch.no_grad()
def check_detects_in_art(subject: Subject) -> None:
    """``as_art_detector`` flags what ``decide`` rejects, in any batches; if ``stochastic``, under equal seeds."""
    cases = [case for case in _of_classes(subject) if case[1].rejects]
    if not cases:
        raise NotApplicable("it accepts every input")
    try:
        from advplug.interop import as_art_detector
    except ModuleNotFoundError as error:
        raise NotApplicable(f"{error.name} is not installed") from error
    for name, model, x in cases:
        torch.manual_seed(0)
        decision = model.decide(x)
        if decision.accepted.dtype != torch.bool:
            raise NotApplicable("it does not say in bool what it accepts: see decides")
        torch.manual_seed(0)
        rows = len(x) if model.stochastic else 2  # draws of other batches are other draws
        report, flagged = as_art_detector(model).detect(x.numpy(), batch_size=rows)
        same = flagged.tolist() == (~decision.accepted).tolist()
        require(same, f"preset {name}: the ART detector flags others: a decision must not depend on its batch-mates")
        require(report["predictions"].tolist() == decision.labels.tolist(), f"preset {name}: ART sees other labels")


def _defense(subject: Subject) -> Defense:
    defense: Defense = subject.new()
    return defense


def _of_classes(subject: Subject) -> list[tuple[str, DefendedModel, Tensor]]:
    """The cases that libraries of classifiers know.

    Raises
    ------
    NotApplicable: every model transcribes.
    """
    found = [case for case in _built(subject).cases if case[1].scores_classes]
    if not found:
        raise NotApplicable("its models transcribe, and other libraries take scores of classes")
    return found


def _built(subject: Subject) -> Built:
    return subject.once(Built.of)
