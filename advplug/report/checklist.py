"""The checklist of Carlini et al. 2019 (1902.06705), filled in as far as the record of a run can tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from advplug.evaluation.diagnostics.signs import percent
from advplug.records.evaluation import Evaluation, Row
from advplug.report import together
from advplug.report.diagnoses import status_of

Answer = Literal["yes", "no", "not known", "does not apply"]

_ONE_STEP = ("FGM(steps=1,", "FGSM", "FastGradient")
_LABELS_ALONE = ("Boundary", "HopSkipJump", "GeoDA", "SignOPT", "Pointwise", "SpatialAttack")
_OF_OTHER_MODELS = ("Transfer", "Substitute")
_SAME = {"ProjectedGradientDescent": "PGD", "FastGradientMethod": "FGM", "FGSM": "FGM", "FastGradientAttack": "FGM"}
"""Names of the same attack in other libraries."""
_MARGIN = 1e-9


@dataclass(frozen=True)
class Item:
    """A question, its answer, and what the answer rests on."""

    question: str
    answer: Answer
    reason: str


def checklist(evaluation: Evaluation) -> list[Item]:
    """Every item, in the order of the paper; "not known" where the record does not tell."""
    return [Item(question, *judge(evaluation)) for question, judge in _ITEMS]


Judgement = tuple[Answer, str]


def _threat(evaluation: Evaluation) -> Judgement:
    return "yes", f"The attacker may change inputs within {evaluation.threat}."


def _adaptive(evaluation: Evaluation) -> Judgement:
    names = [row.name for row in evaluation.rows if row.role == "adaptive"]
    if names:
        return "yes", f"Adapted to the defense: {', '.join(names)}."
    return "no", "No attack of this run was made for the model: its accuracy is an upper bound."


def _whole(evaluation: Evaluation) -> Judgement:
    words = "its rejections included, " if evaluation.false_positives is not None else ""
    return "yes", f"Every success was judged by the model's own answer, {words}on the input that was returned."


def _clean(evaluation: Evaluation) -> Judgement:
    text = f"{percent(evaluation.clean_accuracy)} without an attack"
    if evaluation.false_positives is None:
        return "yes", f"{text}."
    text += f", {percent(evaluation.false_positives)} of the clean inputs rejected"
    curve = status_of(evaluation, "G12")
    return ("not known" if curve == "not-run" else "yes"), f"{text}; curve of detection and false alarms: {curve}."


def _iterative(evaluation: Evaluation) -> Judgement:
    rows = together.attacks(evaluation)
    single = [row for row in rows if _is(row, _ONE_STEP)]
    others = [row for row in rows if row not in single and row.gradients > 0]
    if not single or not others:
        return "not known", "The run holds no single step beside an iterative attack."
    one, many = _least(single), _least(others)
    text = f"{many.name} leaves {percent(many.robust_accuracy)}, {one.name} {percent(one.robust_accuracy)}."
    return ("yes" if many.robust_accuracy <= one.robust_accuracy + _MARGIN else "no"), text


def _rises(evaluation: Evaluation) -> Judgement:
    rows = together.attacks(evaluation)
    points = together.curve(evaluation) or ((0.0, evaluation.clean_accuracy), *(rows[0].sweep if rows else ()))
    if len(points) < 3:
        return "not known", "The attacks ran at one budget: --sweep N runs them at N."
    left = [accuracy for _, accuracy in points]
    rises = all(later < earlier for earlier, later in pairwise(left) if earlier > 0)
    text = f"Accuracy from {percent(left[0])} to {percent(left[-1])} over {len(left) - 1} budgets."
    return ("yes" if rises or evaluation.epsilon is None else "no"), text


def _everything(evaluation: Evaluation) -> Judgement:
    left = together.accuracy(evaluation)
    if left is not None and left <= _MARGIN:
        return "yes", "No sample is left at the largest budget of this run."
    status = status_of(evaluation, "G7")
    if status in ("fail", "warn"):
        return "no", f"Diagnostic G7: {status}."
    return "not known", "The largest budget of this run breaks not all; nobody tried a larger one."


def _each_sample(evaluation: Evaluation) -> Judgement:
    left = together.accuracy(evaluation)
    if left is None:
        return "not known", "The run kept no records of single samples."
    return "yes", f"The best of {len(together.attacks(evaluation))} attacks on each sample leaves {percent(left)}."


def _settings(evaluation: Evaluation) -> Judgement:
    lacking = [row.name for row in evaluation.rows if not row.components]
    if lacking:
        return "no", f"No components on record: {', '.join(lacking)}."
    return "yes", "Under Recipes, all parameters of each attack."


def _diverse(evaluation: Evaluation) -> Judgement:
    kinds = {kind for row in together.attacks(evaluation) for kind in _kinds(row)}
    return ("yes" if len(kinds) > 1 else "no"), f"{len(kinds)} kinds of attack: {', '.join(sorted(kinds)) or 'none'}."


def _without_gradients(evaluation: Evaluation) -> Judgement:
    rows = together.attacks(evaluation)
    blind = [row.name for row in rows if row.gradients == 0 < row.queries]
    blind += [f"{name} of {row.name}" for row in rows for name, _ in row.stages if name.startswith("square")]
    if not blind:
        return "no", "None was run: --attacks square is one."
    status = status_of(evaluation, "G8")
    verdict = {"pass": ", and they do not win", "not-run": ""}.get(status, ", and they win: gradients mislead")
    return ("no" if status in ("warn", "fail") else "yes"), f"{', '.join(blind)}{verdict}."


def _labels_alone(evaluation: Evaluation) -> Judgement:
    names = [row.name for row in together.attacks(evaluation) if _is(row, _LABELS_ALONE)]
    return ("yes", f"{', '.join(names)}.") if names else ("no", "None was run.")


def _transfer(evaluation: Evaluation) -> Judgement:
    names = [row.name for row in together.attacks(evaluation) if _is(row, _OF_OTHER_MODELS)]
    return ("yes", f"{', '.join(names)}.") if names else ("no", "None was run: --attacks transfer is one.")


def _random(evaluation: Evaluation) -> Judgement:
    if evaluation.clean_error_rate is None:
        return "does not apply", "The model answers the same when asked twice, as far as it says."
    names = [row.name for row in evaluation.rows if "EOT(" in row.components.get("gradient", "")]
    if names:
        return "yes", f"Averaged over draws: {', '.join(names)}."
    return "no", "The model is random, and no attack averaged its gradient: --gradients eot:20."


def _stand_in(evaluation: Evaluation) -> Judgement:
    names = [row.name for row in evaluation.rows if "BPDA(" in row.components.get("gradient", "")]
    if names:
        return "yes", f"With a differentiable stand-in: {', '.join(names)}."
    status = status_of(evaluation, "G1")
    if status == "pass":
        return "does not apply", "The model has gradients."
    return ("no" if status in ("warn", "fail") else "not known"), f"No attack used one; diagnostic G1: {status}."


def _longer(evaluation: Evaluation) -> Judgement:
    status = status_of(evaluation, "G5")
    if status in ("pass", "warn", "fail"):
        return ("yes" if status == "pass" else "no"), f"Diagnostic G5: {status}."
    looked = [(row, *row.more_steps) for row in evaluation.rows if row.more_steps[0]]
    if not looked:
        return "not known", "Nobody ran the attacks with more steps."
    texts = (f"{row.name}: {fallen} of {tried} that stood fall" for row, tried, fallen in looked)
    return ("yes" if not any(fallen for *_, fallen in looked) else "no"), "; ".join(texts) + "."


def _restarts(evaluation: Evaluation) -> Judgement:
    names = [
        f"{row.name} {row.components['restarts']}"
        for row in evaluation.rows
        if row.components.get("restarts", "1") not in ("1", "")
    ]
    return ("yes", f"{', '.join(names)}.") if names else ("no", "Every attack started once: --restarts N.")


def _published(evaluation: Evaluation) -> Judgement:
    names = [row.name for row in evaluation.rows if row.published is not None]
    if not names:
        return "not known", "For its authors to say."
    return "yes", f"Beside published figures: {', '.join(names)}."


def _broader(evaluation: Evaluation) -> Judgement:
    return "not known", f"This run holds {evaluation.threat.partition(':')[0]} alone."


def _released(_: Evaluation) -> Judgement:
    return "not known", "For its authors to say."


_ITEMS: tuple[tuple[str, Callable[[Evaluation], Judgement]], ...] = (
    ("Is the threat model stated exactly?", _threat),
    ("Was an attack adapted to this defense?", _adaptive),
    ("Was the whole system attacked, as it is deployed?", _whole),
    ("Is the accuracy without an attack reported, and what a detector rejects?", _clean),
    ("Do iterative attacks break more than a single step?", _iterative),
    ("Does a larger budget always break more?", _rises),
    ("Does a budget that is large enough break everything?", _everything),
    ("Does the strongest attack count on each sample?", _each_sample),
    ("Are all parameters of the attacks given?", _settings),
    ("Were several kinds of attack run?", _diverse),
    ("Was an attack without gradients run, and does it not win?", _without_gradients),
    ("Was an attack run that sees labels alone?", _labels_alone),
    ("Was an attack transferred from another model?", _transfer),
    ("Is randomness averaged over?", _random),
    ("Was what has no gradient replaced by a stand-in?", _stand_in),
    ("Do more steps change nothing?", _longer),
    ("Were there several random starts?", _restarts),
    ("Is the result compared with earlier ones?", _published),
    ("Were other threats tried, such as rotations or noise?", _broader),
    ("Are the model and its code public?", _released),
)


def _kinds(row: Row) -> Iterable[str]:
    if row.stages:
        return [name for name, _ in row.stages]
    attack = row.components.get("attack", row.name)
    bridged = re.match(r"\w+\(attack='(\w+)'", attack)  # an attack of another library
    kind = re.sub("^(Linf|L[0-2])", "", bridged[1] if bridged else attack.partition("(")[0])
    return [_SAME.get(kind, kind)]


def _is(row: Row, words: tuple[str, ...]) -> bool:
    return any(word in row.components.get("attack", "") for word in words)


def _least(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: row.robust_accuracy)


def answers(evaluation: Evaluation) -> str:
    """How many items have each answer."""
    items = checklist(evaluation)
    counts = {answer: sum(item.answer == answer for item in items) for answer in ("yes", "no", "not known")}
    rest = len(items) - sum(counts.values())
    text = ", ".join(f"{count} {answer}" for answer, count in counts.items())
    return text + (f", {rest} does not apply" if rest else "")
