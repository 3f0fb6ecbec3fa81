"""The distributions of a case that a search found: its samples, its model as a defense, its sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advplug import __version__
from advplug.cli._hand_over_model import Source
from advplug.evaluation.diagnostics.intervals import wilson
from advplug.evaluation.diagnostics.signs import percent
from advplug.plugins.manager import Manager
from advplug.records.composition import Composition, Sentence
from advplug.report.markdown import table
from advplug.report.search_words import LEFT_HEAD, left_lines, multiple
from advplug.scaffold import Plan, pin_of
from advplug.scaffold.expressions import (
    Call,
    Imports,
    Unspoken,
    arguments,
    call,
    component,
    import_lines,
    lines,
    literal,
    quoted,
)

if TYPE_CHECKING:
    from advplug.evaluation import Job

LARGEST = 1_900_000
"""Bytes of weights that go along; what ships in a wheel should stay below two million."""

_PIN = pin_of(__version__)
_DEFENSE_IMPORTS = {
    ("advplug", "load"), ("advplug.attack", "as_defended"), ("advplug.data", "Images"),
    ("advplug.defense", "Defense"), ("advplug.defense", "EpochCallback"), ("advplug.defense", "Preset"),
    ("advplug.errors", "InvalidInput"), ("advplug.model", "DefendedModel"), ("advplug.threat", "ThreatModel"),
}  # fmt: skip
_ADAPTIVE_IMPORTS = {
    ("advplug", "load"), ("advplug.adaptive", "AdaptiveAttack"), ("advplug.adaptive", "Recipe"),
    ("advplug.attack", "Attack"), ("advplug.attack", "Problem"), ("advplug.attack", "Stage"),
    ("advplug.attack", "Task"), ("advplug.gradients", "Exact"), ("advplug.model", "DefendedModel"),
    ("advplug.threat", "ThreatModel"),
}  # fmt: skip
_NO_WEIGHTS = '''
    def trained_part(self, preset: str, model: DefendedModel) -> torch.nn.Module:
        """Nothing: the weights come with the model's own code."""
        return torch.nn.Module()
'''
_WEIGHTS_NOTE = {
    True: "The folder `weights` holds the state of the model as it was searched.",
    False: "The weights come with the model's own code; the file in the folder `weights` is empty.",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the distributions go: the name, parent folder and authors by kind, the line of the user's for the model."""

    name: str
    parents: Mapping[str, Path]
    authors: Mapping[str, str]
    summary: str | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """A search with what it attacked: a job for each sentence, the code of the model, the data plugin and its split."""

    search: Composition
    jobs: Sequence[Job]
    source: Source
    data: str
    split: str
    place: Place
    manager: Manager

    @property
    def job(self) -> Job:
        """The first one; all have the same model, samples and threat model."""
        return self.jobs[0]

    @cached_property
    def weights(self) -> bytes | None:
        """The state of the model as safetensors, None where it is large, or somebody else's."""
        import torch

        if self.source.brings_weights:
            return None
        state = self.job.model.state_dict()
        tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
        size = sum(value.numel() * value.element_size() for value in tensors.values())
        return _saved(tensors) if len(tensors) == len(state) and size <= LARGEST else None

    def home(self, key: str) -> str:
        """The requirement that brings an installed plugin."""
        source = self.manager.provenance(key)
        return source.distribution + pin_of(source.version)

    def plan(
        self, kind: str, summary: str, values: dict[str, str], needs: Sequence[str], **attached: Mapping[str, bytes]
    ) -> Plan:
        """The distribution of that kind."""
        place = self.place
        return Plan(
            kind=kind, name=place.name, parent=place.parents[kind], version=__version__, core=__version__,
            authors=place.authors[kind], summary=summary, breaks=place.name if kind == "adaptive" else "",
            folder_of_templates=f"found/{kind}", values=values, attached=attached.get("attached", {}),
            needs=tuple(dict.fromkeys(needs)),
        )  # fmt: skip


def samples_plan(found: Found) -> Plan:
    """The samples as a data plugin, as bytes where they were bytes."""
    import torch

    images = found.job.images
    pixels = (images.inputs * 255).round()
    bytes_again = images.inputs.dtype == torch.float32 and torch.equal(pixels / 255, images.inputs)
    names = images.class_names or tuple(map(str, range(found.job.model.num_classes)))
    values = {
        "samples": str(len(images)),
        "shape": literal(tuple(images.inputs.shape[1:])),
        "class_names": lines(Call("", tuple(("", quoted(name)) for name in names)), 4).strip(),
        "label_sum": str(int(images.labels.sum())),
        "pixels": str(images.pixels),
    }
    inputs = pixels.to(torch.uint8) if bytes_again else images.inputs
    attached = {"samples.safetensors": _saved({"inputs": inputs, "labels": images.labels})}
    needs = [f"advplug[torch]{_PIN}", "torch>=2.4", "safetensors>=0.4"]
    return found.plan("data", f"The samples of the search {found.place.name}", values, needs, attached=attached)


def defense_plan(found: Found) -> Plan:
    """The model as a defense with one preset."""
    search, source, threat, name = found.search, found.source, found.job.threat, found.place.name
    whole = search.together
    values = {
        "importlib": "from importlib import import_module\n" if source.imported else "",
        "imports": import_lines(_DEFENSE_IMPORTS, source.needed),
        "make": source.code(found.job.model.num_classes),
        "data": found.data,
        "split": found.split,
        "bounds": literal(tuple(map(float, threat.bounds))),
        "norm": threat.norm,
        "epsilon": repr(threat.epsilon),
        "threat": str(threat),
        "samples": str(whole.samples),
        "clean": percent(whole.clean),
        "clean_low": _outwards(wilson(whole.clean, whole.samples)[0] - _STEP),
        "trained_part": "" if found.weights else _NO_WEIGHTS,
        "weights_note": _WEIGHTS_NOTE[found.weights is not None],
    }
    command = ["advplug", "search", search.model]
    record = {"defense": f"defense:{name}", "preset": "found", "command": command, "seed": search.seed}
    attached = {
        "weights/found.safetensors": found.weights or _saved({}),
        "weights/found.json": f"{json.dumps(record, indent=2)}\n".encode(),
        **source.attached,
    }
    home = f"advplug-data-{name}{_PIN}" if found.data == name else found.home(f"data:{found.data}")
    needs = [f"advplug[{source.extra}]{_PIN}", home, "torch>=2.4", *source.needs]
    summary = found.place.summary or f"The model of the search {name}, as it was given"
    return found.plan("defense", summary, values, needs, attached=attached)


def adaptive_plan(found: Found) -> Plan:
    """The sentences as the adaptive attack on that defense."""
    search, name = found.search, found.place.name
    attacks = tuple(dict.fromkeys(("pgd", "standard", *(one.attack for one in search.sentences))))
    imports: Imports = set(_ADAPTIVE_IMPORTS)
    stages = [_stage(number, job, sentence, imports)
              for number, (job, sentence) in enumerate(zip(found.jobs, search.sentences, strict=True), 1)]  # fmt: skip
    left = search.together
    values = {
        "norm": found.job.threat.norm,
        "uses_attacks": literal(attacks),
        "stages": "\n".join(lines(stage, 12, after=",") for stage in stages),
        "recipe": lines(_recipe(found, imports), 12, after=","),
        "imports": import_lines(imports),
        "claim": f"The standard suite leaves {percent(left.standard)} of the samples right.",
        "lesson": f"An attack that fits the model leaves {percent(left.search)} of them.",
        "samples": str(left.samples),
        "seed": str(search.seed),
        "left": percent(left.search),
        "left_high": _outwards(wilson(left.search, left.samples)[1] + _STEP),
        "sentences": "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(search.sentences, 1)),
        "left_table": table(LEFT_HEAD, left_lines(search), texts=1),
        "cost": f"The search took {multiple(search)} times the passes of standard." if multiple(search) else "",
    }
    homes = (found.home(f"attack:{attack}") for attack in attacks)
    needs = [f"advplug[torch]{_PIN}", *homes, f"advplug-defense-{name}{_PIN}"]
    return found.plan("adaptive", f"What a search found breaks {name}", values, needs)


def _recipe(found: Found, imports: Imports) -> Call:
    """The recipe of the whole attack, which shows the loss and the gradient of the first sentence."""
    loss, gradient = _components(found.jobs[0], found.search.sentences[0], imports)
    return call(
        "Recipe", name=quoted("standard, then what the search found"), attack="Found()", loss=loss, gradient=gradient
    )


def _stage(number: int, job: Job, sentence: Sentence, imports: Imports) -> Call:
    """One sentence as a stage of the attack."""
    loss, gradient = _components(job, sentence, imports)
    more: dict[str, Call | str] = {}
    if sentence.targets is not None:
        more = {"targets": quoted("each")} if sentence.targets == "each" else {"num_targets": sentence.targets}
    if sentence.restarts > 1:
        more["options"] = call("replace", "problem.options", restarts=str(sentence.restarts))
    attack = call(f'load("attack:{sentence.attack}")', **arguments(sentence.settings))
    problem = call("replace", "problem", loss=loss, gradient=gradient, **more)
    return call("Stage", quoted(f"sentence {number}"), attack, problem)


def _components(job: Job, sentence: Sentence, imports: Imports) -> tuple[Call | str, Call | str]:
    """Loss and gradient of a sentence."""
    (recipe,) = job.recipes
    loss = _component(recipe.loss, sentence.loss, "read_loss", imports)
    return loss, _component(recipe.gradient, sentence.gradient, "read_gradient", imports)


def _component(value: Any, text: str | None, reader: str, imports: Imports) -> Call | str:
    """A loss or an estimator as an expression; where there is none, the text and what reads it."""
    own: Imports = set()
    try:
        expression = component(value, own)
    except Unspoken:
        own, expression = {("advplug.spelling", reader)}, call(reader, quoted(text or ""))
    imports |= own
    return expression


def _saved(tensors: Mapping[str, Any]) -> bytes:
    """A file of ``tensors``; those that share their memory are written apart."""
    from safetensors.torch import save

    return save({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()})


_STEP = 0.0005


def _outwards(share: float) -> str:
    """A bound as three digits."""
    return f"{min(1.0, max(0.0, share)):.3f}"
