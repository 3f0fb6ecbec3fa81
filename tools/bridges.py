"""Write docs/bridges.md: the attacks that the bridges bring from Foolbox and ART, and one run of each on digits.

usage: python tools/bridges.py                     write the page from tools/bridges.json
       python tools/bridges.py --run [NAME ...]    run the attacks (all, or those named), then write both
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from advplug_attack_art import CATALOGUE as ART
from advplug_attack_foolbox import CATALOGUE as FOOLBOX

from advplug.interop.catalogue import Catalogue, Entry

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "bridges.md"
RECORD = ROOT / "tools" / "bridges.json"
CATALOGUES = (FOOLBOX, ART)
DIGITS = 5
BUDGETS = {"linf": 0.4, "l2": 4.0, "l1": 40.0, "l0": 60.0}
"""For attacks that need one: wide, since the question is whether they run."""

SETTINGS: dict[str, dict[str, Any]] = {
    "foolbox:BoundaryAttack": {"steps": 300},
    "foolbox:HopSkipJumpAttack": {"steps": 5},
    "foolbox:L2CarliniWagnerAttack": {"binary_search_steps": 4, "steps": 100, "initial_const": 1.0},
    "foolbox:EADAttack": {"binary_search_steps": 4, "steps": 100, "initial_const": 1.0},
    "foolbox:GenAttack": {"steps": 100},
    "foolbox:GaussianBlurAttack": {"steps": 50},
    "foolbox:LinearSearchBlendedUniformNoiseAttack": {"directions": 50, "steps": 50},
    "foolbox:LinearSearchContrastReductionAttack": {"steps": 50},
    "foolbox:SaltAndPepperNoiseAttack": {"steps": 100},
    "art:AutoProjectedGradientDescent": {"max_iter": 20, "nb_random_init": 1},
    "art:AutoConjugateGradient": {"max_iter": 20, "nb_random_init": 1},
    "art:RescalingAutoConjugateGradient": {"max_iter": 20, "nb_random_init": 1},
    "art:BoundaryAttack": {"max_iter": 20},
    "art:BasicIterativeMethod": {"max_iter": 20},
    "art:ProjectedGradientDescent": {"max_iter": 20},
    "art:MomentumIterativeMethod": {"max_iter": 20},
    "art:CarliniL0Method": {"max_iter": 5, "binary_search_steps": 4},
    "art:CarliniL2Method": {"max_iter": 20, "binary_search_steps": 4, "initial_const": 1.0},
    "art:CarliniLInfMethod": {"max_iter": 5},
    "art:ElasticNet": {"max_iter": 50, "binary_search_steps": 4, "initial_const": 1.0},
    "art:HopSkipJump": {"max_iter": 3, "max_eval": 500, "init_eval": 50},
    "art:GeoDA": {"max_iter": 1000},
    "art:NewtonFool": {"max_iter": 50},
    "art:PixelAttack": {"th": 30, "max_iter": 3},
    "art:ThresholdAttack": {"th": 100, "max_iter": 3},
    "art:ShadowAttack": {"nb_steps": 20, "batch_size": 10},
    "art:SignOPTAttack": {"num_trial": 10, "max_iter": 5, "query_limit": 1000},
    "art:SimBA": {"max_iter": 500},
    "art:SpatialTransformation": {
        "max_translation": 15.0, "num_translations": 3, "max_rotation": 45.0, "num_rotations": 3,
    },
    "art:SquareAttack": {"max_iter": 100},
    "art:UniversalPerturbation": {"max_iter": 2},
    "art:TargetedUniversalPerturbation": {"max_iter": 2},
    "art:Wasserstein": {"max_iter": 2, "conjugate_sinkhorn_max_iter": 20, "projected_sinkhorn_max_iter": 20},
    "art:ZooAttack": {"max_iter": 20, "use_resize": False, "use_importance": False, "nb_parallel": 64},
}  # fmt: skip
"""Where the default takes minutes."""

NEEDS_TARGETS = {"foolbox:GenAttack", "art:TargetedUniversalPerturbation"}
"""Run towards the next class."""


NOTES = {
    "art:SimBA": "and `art:VirtualAdversarialMethod` get the softmax of the logits, because they refuse other scores",
    "art:ShadowAttack": "runs image by image; its `batch_size` is the number of noisy copies of one image",
    "art:SaliencyMapMethod": "draws random targets if it gets none",
    "foolbox:NewtonFoolAttack": "produced NaN images from these digits; advplug stopped it at that point",
}
"""What a user should know beside the table."""

HEAD = """# Attacks of Foolbox and ART

`advplug-attack-foolbox` and `advplug-attack-art` make the attacks of the two libraries on image classifiers available
in advplug. Each attack keeps its own name, such as `foolbox:LinfPGD` or `art:SquareAttack`. The name works wherever
advplug takes the name of an attack:

```sh
advplug list --library foolbox
advplug show --full art:SquareAttack
advplug evaluate adversarial-training:mnist --threat l2:1.5 --limit 20 --no-report \\
    --attacks foolbox:L2DeepFoolAttack,art:FastGradientMethod,pgd --set foolbox:L2DeepFoolAttack.steps=20
```

The threat model sets the budget of an attack with a fixed budget. A minimum-norm attack searches without a budget, and
its result is then judged within the budget of the threat model. The attacks bring their own loss and gradient, so
`--losses` and `--gradients` raise an error. Goal, targets, restarts, seeds and batches work as for every attack. The
success flags of the libraries are ignored. advplug re-checks each returned point with a new decision, in bounds and
within the budget. This check rejects black images, NaN, and points that only the library counts as adversarial. A
rejected point comes back as the clean input.

Each attack has one name. If Foolbox exports an attack under an alias, the alias is its name (`LinfPGD`, `L2PGD`,
`FGSM`, `FGM`, `MIFGSM`), and its summary names the class. An alias of an alias (`PGD`, `AdamPGD`) is left out. advplug
reads the names from the files of the installed version, without importing it. An attack that is newer than the tables
in advplug is listed without tags.

The last four columns show one run of each attack on COUNT digits of `data:mnist` that the network
`adversarial-training:mnist` (plain training) classifies correctly. "Run as" gives the threat model, with `min` for the
smallest distance, and the settings, where the default would take minutes. The figures show that an attack runs, not how
strong it is. The versions are VERSIONS.
"""


def declared() -> dict[str, Entry]:
    """What is known of each attack of the installed versions, by its name."""
    return {
        f"{catalogue.prefix}:{name}": catalogue.entries[name]
        for catalogue in CATALOGUES
        for name in catalogue.names()
        if name in catalogue.entries
    }


def render() -> str:
    """The page, from the tables and the record."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    titles = {catalogue.library: catalogue.title for catalogue in CATALOGUES}
    versions = " and ".join(f"{titles[name]} {version}" for name, version in sorted(record["versions"].items()))
    head = re.sub("COUNT|VERSIONS", lambda match: {"COUNT": str(DIGITS), "VERSIONS": versions}[match[0]], HEAD)
    return "\n".join([head, *(_section(catalogue, record["attacks"]) for catalogue in CATALOGUES)])


def _section(catalogue: Catalogue, rows: dict[str, Any]) -> str:
    own = {name: row for name, row in rows.items() if name.startswith(f"{catalogue.prefix}:")}
    ran = sum("error" not in row for row in own.values())
    lines = [
        f"## {catalogue.title}",
        "",
        f"{ran} of {len(own)} attacks ran.",
        "",
        "| name | norms | budget | access | targets | run as | broken | distance | forward passes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in sorted(own.items(), key=lambda item: item[0].lower()):
        entry = catalogue.entries[name.partition(":")[2]]
        settings = ", ".join(f"{key}={value}" for key, value in row["settings"].items())
        cells = (
            f"`{name}`",
            ", ".join(entry.norms) if len(entry.norms) < 4 else "any",
            entry.budget,
            entry.access,
            "yes" if entry.targeted else "",
            f"{row['threat']}{'; ' * bool(settings)}{settings}",
            *_outcome(row),
        )
        lines.append(f"| {' | '.join(cells)} |")
    failed = {name: row["error"] for name, row in own.items() if "error" in row}
    lines += ["", "Attacks that did not run, with the reason:" if failed else "", ""]
    lines += [f"- `{name}`: {_shown(error)}" for name, error in sorted(failed.items())]
    lines += ["", "Notes:", ""]
    lines += [f"- `{name}` {note}" for name, note in sorted(NOTES.items()) if name in own]
    lines += ["", "Attacks that are not available, with the reason:", ""]
    lines += [f"- `{name}`: {reason}" for name, reason in sorted(catalogue.left_out.items()) if reason]
    return "\n".join(lines) + "\n"


def _outcome(row: dict[str, Any]) -> tuple[str, str, str]:
    if "error" in row:
        return "did not run", "", ""
    distance = "" if row["distance"] is None else f"{row['distance']:g}"
    return f"{row['broken']} of {row['attacked']}", distance, f"{row['forwards']:,}"


def _shown(error: str) -> str:
    return error.replace("|", "/").replace("<", "&lt;")


def run(names: Sequence[str]) -> None:
    """Run the attacks named, each under the first of its norms, and record how it went."""
    import torch

    from advplug import ThreatModel, load
    from advplug import run as attack

    warnings.simplefilter("ignore")
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {"attacks": {}}
    record["versions"] = {catalogue.library: metadata.version(catalogue.library) for catalogue in CATALOGUES}
    model = load("defense:adversarial-training")().build("mnist")
    images = load("data:mnist")().load("shipped", DIGITS)
    known = declared()
    record["attacks"] = {name: row for name, row in record["attacks"].items() if name in known}
    for name in names or known:
        entry = known[name]
        norm: Any = entry.norms[0] if len(entry.norms) < 4 else "l2"
        epsilon = BUDGETS[norm] if entry.budget == "fixed" else None
        goal = name in NEEDS_TARGETS
        threat = ThreatModel(norm, epsilon, model.bounds, goal)
        targets = (images.labels + 1) % 10 if goal else None
        row: dict[str, Any] = {"threat": str(threat), "settings": SETTINGS.get(name, {})}
        start = time.perf_counter()
        try:
            search = load(f"attack:{name}")(**row["settings"])
            found = attack(search, model, images.inputs, images.labels, threat, targets=targets)
        except Exception as error:  # what cannot run, and why, is the point of the page
            row["error"] = str(error).partition("\n")[0]
        else:
            row["broken"] = int(found.success.sum())
            row["attacked"] = int(found.correct.sum())
            row["distance"] = round(float(torch.nanmean(found.distance[found.success])), 2) if row["broken"] else None
            row["forwards"] = round(float(found.forwards[found.correct].double().mean()))
        row["seconds"] = round(time.perf_counter() - start, 1)
        print(name, row, file=sys.stderr, flush=True)
        record["attacks"][name] = row
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Run if asked to, and write the page."""
    if arguments and arguments[0] != "--run":
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    if arguments:
        run(arguments[1:])
    TARGET.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
