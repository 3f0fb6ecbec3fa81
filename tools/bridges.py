"""Write docs/bridges.md: the attacks that the bridges bring from Foolbox and ART, and how each ran on digits.

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

from advplug_attack_art._catalogue import CATALOGUE as ART
from advplug_attack_foolbox._catalogue import CATALOGUE as FOOLBOX

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
    "art:SimBA": "and `art:VirtualAdversarialMethod` are given the softmax of the logits: they refuse others",
    "art:ShadowAttack": "runs image by image; its `batch_size` is the number of noisy copies of one",
    "art:SaliencyMapMethod": "without targets ART draws some",
    "foolbox:NewtonFoolAttack": "made NaN of its images of these digits, and was stopped there",
}
"""What a user should know beside the table."""

HEAD = """# Attacks of Foolbox and ART

`advplug-attack-foolbox` and `advplug-attack-art` bring every attack of the two libraries on image classifiers under its
own name, `foolbox:LinfPGD` or `art:SquareAttack`, wherever a name of an attack goes:

```sh
advplug list --library foolbox
advplug show art:SquareAttack
advplug evaluate adversarial-training:mnist --threat l2:1.5 --limit 20 --no-report \\
    --attacks foolbox:L2DeepFoolAttack,art:FastGradientMethod,pgd --set foolbox:L2DeepFoolAttack.steps=20
```

An attack with a fixed budget is given that of the threat model; a minimum-norm one searches and is then judged within
it. Loss and gradient are the library's own, so `--losses` and `--gradients` are refused; goal, targets, restarts, seeds
and batches work as for every attack. Nothing that a library says of its own success counts: each point that it
returns is decided afresh, in bounds and within budget, which catches black images, NaN and points that only the
library believes in. A point is returned as the clean input where that fails.

Each attack is there once. One that Foolbox exports under an alias goes by the alias (`LinfPGD`, `L2PGD`, `FGSM`, `FGM`,
`MIFGSM`), and its summary names the class; an alias of an alias (`PGD`, `AdamPGD`) is left out. The names are read from
the files of the installed version without importing it; an attack that is newer than the declared tables is listed
without tags.

The last columns say how each ran on COUNT digits that ship, all classified rightly by the network
`adversarial-training:mnist` (plain training), on its own under the threat model shown, `min` for the least distance;
settings stand where the default takes minutes. The figures say that an attack runs, not how good it is. Seen with
VERSIONS.
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
        f"{len(own)} attacks, of which {ran} ran.",
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
    lines += ["", "Did not run, and why:" if failed else "", ""]
    lines += [f"- `{name}`: {_shown(error)}" for name, error in sorted(failed.items())]
    lines += ["", "To know:", ""]
    lines += [f"- `{name}` {note}" for name, note in sorted(NOTES.items()) if name in own]
    lines += ["", "Not brought:", ""]
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
