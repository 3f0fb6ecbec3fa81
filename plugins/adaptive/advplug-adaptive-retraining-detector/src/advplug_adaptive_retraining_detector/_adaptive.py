"""How a detector retrained on adversarial images is passed: with its own gradient (Carlini and Wagner 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from advplug_attack_ddn import DDN
from advplug_attack_transfer import Transfer
from advplug_defense_retraining_detector import LOSSES, Detected, gradient_steps, wrong_classes

from advplug.adaptive import AdaptiveAttack, Recipe
from advplug.errors import InvalidInput
from advplug.gradients import Selective
from advplug.interop.foolbox import FoolboxAttack
from advplug.losses import DetectorScore, Margin
from advplug.model import DefendedModel
from advplug.threat import ThreatModel

CLAIM = "Ozbulak et al. 2020, table III, ResNet-18, ImageNet: share of adversarial images detected"
DETECTED = {"CE": 0.83, "CE-sign": 0.97, "Logit": 0.95, "M-logit": 0.84}
STEPS = 200


class BreakRetrainingDetector(AdaptiveAttack):
    """The detector has learnt what four attacks leave behind; it is a network, with a gradient like any other.

    Baselines: the four attacks of its training, whose images come from the classifier alone, and DeepFool of Foolbox,
    which the detector never saw. Published is the share that a detector accepts. The control says how far the nearest
    error of the classifier is.
    """

    breaks = "retraining-detector"
    claim = "A network retrained on adversarial images detects 90 % of them, and 94 % of the genuine ones pass."
    lesson = "A detector that learnt known attacks is one more network to attack: give the attack its gradient."

    def baselines(self, preset: str, threat: ThreatModel) -> Sequence[Recipe]:
        return [
            *(
                Recipe(
                    name=f"{name} on the classifier",
                    attack=Transfer(attack=gradient_steps(name), models=f"adversarial-training:{preset}"),
                    loss=LOSSES[name].loss,
                    targets=wrong_classes,
                    role="baseline",
                    published=DETECTED[name],
                    source=CLAIM,
                )
                for name in LOSSES
            ),
            Recipe(name="DeepFool", attack=FoolboxAttack("L2DeepFoolAttack"), role="baseline", library="foolbox"),
        ]

    def recipes(self, preset: str, threat: ThreatModel, model: DefendedModel) -> Sequence[Recipe]:
        if not isinstance(model, Detected):
            raise InvalidInput(f"the model is a {type(model).__name__}: this case attacks Detected")
        attack = DDN(steps=STEPS)
        return [
            Recipe(name="DDN, classifier alone", attack=attack, role="control", on=model.classifier),
            Recipe(name="DDN, detector in the success test", attack=attack, role="intermediate"),
            Recipe(
                name="DDN, classifier then detector",
                attack=attack,
                loss=Margin(),
                gradient=Selective(DetectorScore()),
            ),
        ]
