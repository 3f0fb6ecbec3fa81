"""The notebooks of examples/ run from the first cell to the last: in this process, and in Jupyter if it is there."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(ROOT.glob("examples/*.ipynb"))
ids = [path.stem for path in NOTEBOOKS]
FIGURES = {"python_tour": 3, "break_a_defense": 2, "art_and_foolbox": 1}
NEEDS = {
    "python_tour": ("attack_pgd", "attack_fgm", "defense_adversarial_training", "data_mnist"),
    "break_a_defense": ("adaptive_kwta",),
    "art_and_foolbox": ("attack_pgd", "attack_art", "attack_foolbox", "defense_adversarial_training", "data_mnist"),
}


def code_cells(path: Path) -> list[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as Jupyter does; returns the value of its last line if it is to be shown."""
    tree = ast.parse(source)
    shown = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    if shown is None:
        return None
    value = eval(compile(ast.Expression(shown.value), "<cell>", "eval"), names)  # type: ignore[attr-defined]
    return None if source.rstrip().endswith(";") else value


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_every_cell_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for plugin in NEEDS[path.stem]:
        pytest.importorskip(f"advplug_{plugin}")
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    shown = []
    plt.close("all")  # what tests before this one left open
    with mpl.rc_context({"backend": "agg"}):
        names: dict[str, Any] = {"__name__": "__main__"}
        for cell in code_cells(path):
            shown.append(run_cell(cell, names))
        assert len(plt.get_fignums()) == FIGURES[path.stem]
        plt.close("all")
    html = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert "accuracy without an attack" in html[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_it_runs_in_jupyter(path: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="no Jupyter here")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds >= {"text/html", "image/png"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_it_is_small_and_names_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < 500_000
    assert "Traceback" not in text
