"""Write docs/results.md and docs/gallery.md from the records of longer runs in benchmarks/results.

usage: python tools/results.py [RUN ...]

RUN is the run directory of a finished `advplug break CASE --limit N`. Its record replaces the record of the same case
and preset. Without RUN, both pages are written again from the existing records.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

from advplug import load
from advplug.evaluation import Evaluation
from advplug.evaluation.diagnostics.signs import percent
from advplug.evaluation.storage.run_directory import RunDirectory
from advplug.records import Row
from advplug.report.markdown import markdown
from advplug.report.summary import strongest, strongest_baseline
from advplug.threat import ThreatModel

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
RESULTS, GALLERY = DOCS / "results.md", DOCS / "gallery.md"

ABOUT_RESULTS = """# Results of longer runs

Each section is the output of `advplug break CASE --preset PRESET --limit IMAGES` at seed 0, for the first images of the
evaluation split of the preset. The runs shared two cores with other work, so the seconds are upper bounds. The page of
each case says what does not reproduce. `python tools/results.py` writes this page from the records in
`benchmarks/results`.

The summary gives accuracy without an attack and robust accuracy under three attacks: the strongest baseline, the
[standard suite](standard.md), which is strong and knows nothing of the defense, and the adaptive attack. A dash means
that the suite was not run on these images. Beside the baseline and the adaptive attack stands what the papers report
for the same attacks on their own networks, which are larger than these: of the defense's authors, and of those who
broke it. A dash means that they report no accuracy for this preset. A defense counts as broken if the adaptive attack
leaves at most 5 %, or at most a third of what the strongest baseline leaves, or at most five points more than the
undefended network keeps. A random defense also counts as broken if, under the adaptive attack, at most 5 % of the
images are right in more than half of fresh draws.

Where the budget is `min`, attacks look for the smallest perturbation, and the median distance stands beside the
accuracy. Such a defense counts as broken if the adaptive attack leaves at most 5 %, and its median distance is at most
1.5 times that of the undefended network.
"""

ABOUT_GALLERY = """---
hide: [navigation, toc]
---
# Gallery of broken defenses

Each row is one defense. It gives the claim of the authors, the clean accuracy measured here, the robust accuracy under
the strongest baseline, under the [standard suite](standard.md) and under the adaptive attack, and the lesson. The
baselines are the attacks of the authors' evaluation or the defaults of a library. The first figure in a cell is for
digits and the second for CIFAR-10, on the images of the [longer runs](results.md); a defense of speech has one alone.
Not every break of a paper reproduces on networks of this size: the page of a case says which figures do not.
`python tools/results.py` writes this page.

| defense and claim | budget | clean accuracy | strongest baseline | standard | adaptive attack | lesson | figure |
|---|---|---|---|---|---|---|---|
"""

WIDE = 'style="min-width: 14rem"'
"""Style of the figures: without it the table makes them as narrow as possible."""


def take_over(run: Path) -> None:
    """Keep the record of a finished run."""
    evaluation = replace(RunDirectory(run).load(), run_dir=None)
    RECORDS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(evaluation.to_json(), indent=1)
    (RECORDS / f"{evaluation.case}-{evaluation.preset}.json").write_text(text + "\n", encoding="utf-8")


def records() -> list[Evaluation]:
    """All records, sorted by case. Digits come first, and the plain preset of a data set before its variants."""
    found = [Evaluation.from_json(json.loads(path.read_text(encoding="utf-8"))) for path in RECORDS.glob("*.json")]
    return sorted(found, key=lambda one: (one.case, not (one.preset or "").startswith("mnist"), one.preset or ""))


def results(evaluations: list[Evaluation]) -> str:
    """The page with all tables; it begins with a summary."""
    rows = [
        "| case | preset | budget | images | clean | published baseline | strongest baseline | standard "
        "| published break | adaptive attack | broken |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    sections = []
    for one in evaluations:
        clean, weak, suite, left = _figures(one)
        title = f"{one.case}, {one.preset}"
        anchor = re.sub(r"[^a-z0-9-]+", "-", title)
        cells = (f"[{one.case}]({one.case}.md)", f"[{one.preset}](#{anchor})", _budget(one), f"{one.samples:,}")
        before, after = _published(one, "baseline"), _published(one, "intermediate", "adaptive")
        figures = (clean, before, weak, suite, after, f"**{left}**", "yes" if one.broken else "no")
        rows.append("| " + " | ".join((*cells, *figures)) + " |")
        sections.append(f"## {title}\n\n{markdown(one)}\n")
    return "\n".join([ABOUT_RESULTS, *rows, "", *sections])


def gallery(evaluations: list[Evaluation]) -> str:
    """The page with one row for each case, from the plain presets of its two data sets."""
    rows = []
    for case in dict.fromkeys(one.case for one in evaluations):
        shown = [one for one in evaluations if one.case == case and one.preset in ("mnist", "cifar10", "digits")]
        columns = zip(*((_budget(one), *_figures(one)) for one in shown), strict=True)
        budget, clean, weak, suite, left = (
            "<br>".join(cell.replace(" ", "&nbsp;") for cell in column) for column in columns
        )
        alone = [_alone(one) for one in shown if one.undefended_accuracy is not None]
        after = f"**{left}**" + (f"<br>undefended network:<br>{'<br>'.join(alone)}" if alone else "")
        told = load(f"adaptive:{case}")  # claim and lesson as the case words them today
        claim = f"[**{case}**]({case}.md). {told.claim}"
        rows.append("| " + " | ".join((claim, budget, clean, weak, suite, after, told.lesson, _figure(case))) + " |")
    return ABOUT_GALLERY + "\n".join(rows) + "\n"


def _figures(evaluation: Evaluation) -> tuple[str, str, str, str]:
    """Accuracy without an attack, under the strongest baseline, the suite and the strongest adaptive attack."""
    weak, left = strongest_baseline(evaluation), strongest(evaluation)
    suite = next((percent(row.robust_accuracy) for row in evaluation.rows if row.name == "standard"), "-")
    assert weak is not None, f"{evaluation.case} has no baseline"
    assert left is not None, f"{evaluation.case} has no attack"
    return percent(evaluation.clean_accuracy), _left(evaluation, weak), suite, _left(evaluation, left)


def _published(evaluation: Evaluation, *roles: str) -> str:
    """The least accuracy that the papers report for attacks of these roles on the whole defense, a dash for none."""
    whole = [row for row in evaluation.rows if row.role in roles and "on" not in row.components]
    found = [row.published for row in whole if row.published is not None]
    return percent(min(found)) if found else "-"


def _left(evaluation: Evaluation, row: Row) -> str:
    """What an attack leaves; of a minimum-norm run with the median distance of what it broke."""
    median = None if evaluation.epsilon is not None else row.median_distance
    return percent(row.robust_accuracy) + ("" if median is None else f", median {median:.4g}")


def _alone(evaluation: Evaluation) -> str:
    """What the undefended network keeps, or how far it has to be led."""
    distance = evaluation.undefended_distance
    return percent(evaluation.undefended_accuracy or 0.0) if distance is None else f"median {distance:.4g}"


def _budget(evaluation: Evaluation) -> str:
    """The budget as papers write it: multiples of 1/255 as fractions, and in words where there is none."""
    threat = ThreatModel.parse(evaluation.threat)
    if threat.epsilon is None:
        return f"{threat.norm}, the smallest"
    levels = 255 * threat.epsilon
    near = round(levels)
    whole = abs(levels - near) < 1e-3 and near < 20
    return f"{threat.norm} {near}/255" if whole else f"{threat.norm} {threat.epsilon:g}"


def _figure(case: str) -> str:
    """The first figure on the page of the case, small and linked to that page."""
    found = re.search(r"!\[([^]]*)\]\(([^)]+)\)", (DOCS / f"{case}.md").read_text(encoding="utf-8"))
    assert found is not None, f"docs/{case}.md has no figure"
    return f"[![{found[1]}]({found[2]}){{ {WIDE} }}]({case}.md)"


def main(runs: list[str]) -> None:
    """Keep the records of ``runs`` and write both pages."""
    for run in runs:
        take_over(Path(run))
    evaluations = records()
    RESULTS.write_text(results(evaluations), encoding="utf-8")
    GALLERY.write_text(gallery(evaluations), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
