"""``advplug evaluate``: models as people have them, and a stand-in for the gradient of one that has none."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advplug.cli import run

NETS = """
import sys
import numpy as np
import torch
from torch import nn
from advplug.model import DefendedModel, PlainModel

W = torch.linspace(-1, 1, 6)

def scores(x):
    light = (x.flatten(1).to(W.dtype) - 0.5) @ W
    return torch.stack((-light, light), 1)

class Net(nn.Module):
    def forward(self, x):
        return scores(x)

def arrays(x):
    light = (x.reshape(len(x), -1) - 0.5) @ W.numpy()
    return np.stack((1 / (1 + np.exp(light)), 1 / (1 + np.exp(-light))), 1)

class Estimator:
    def fit(self, x, y):
        return self
    def predict(self, x):
        return arrays(x).argmax(1)
    def predict_proba(self, x):
        return arrays(x)

class Labels:
    def predict(self, x):
        return arrays(x).argmax(1)

class Callable:
    def __call__(self, x):
        return scores(x)

class Needs:
    def __init__(self, size):
        pass

fitted, labels, ready = Estimator(), Labels(), Callable()

def fitted_later():
    return Estimator()

def plain():
    return PlainModel(arrays, 2)

def shape(x):
    return x.flatten(1)[:, 0]

def three(x):
    return scores(x)[:, :1].expand(-1, 3)

def text(x):
    return "cat"

def leaves():
    sys.exit(0)

def leaves_in_a_pass(x):
    sys.exit(0)

def interrupted():
    raise KeyboardInterrupt

def hard(x):
    return scores((x > 0.5).float())

class Hard(Net):
    def forward(self, x):
        return hard(x)

class HardDefended(DefendedModel):
    def __init__(self):
        super().__init__(2)
    def forward(self, x):
        return hard(x)

def hard_arrays(x):
    return arrays((x > 0.5).astype(np.float32))

def smooth(x):
    return scores(torch.sigmoid(10 * (x - 0.5)))

class Smooth(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(10.0, dtype=torch.float64))
    def forward(self, x):
        assert x.dtype == self.slope.dtype and not self.training
        light = (torch.sigmoid(self.slope * (x - 0.5)) - 0.5) @ W.double()
        return torch.stack((-light, light), 1)

def build(size):
    return nn.Linear(size, 2)

def scale(x, by):
    return scores(x) * by

def __getattr__(name):
    if name == "broken":
        raise RuntimeError("no such luck\\nat all")
    raise AttributeError(name)

class Scorer:
    @property
    def predict_proba(self):
        raise RuntimeError("no such luck")

scorer = Scorer()

class Moody:
    def __getattr__(self, name):
        raise RuntimeError("no such luck")
    def __call__(self, x):
        return scores(x)

moody = Moody()

class DictDefended(HardDefended):
    def forward(self, x):
        return {"logits": hard(x)}

def named(x):
    return {"logits_of_heads": scores(x), "hidden": x}

def paired(x):
    return x, scores(x)
"""


class Answer:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def row(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)["rows"][0]


class Call:
    """Runs the command on six values each of twelve samples, none of which is within 0.2 of the model's threshold."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, model: str, *arguments: str, attack: str = "pgd") -> Answer:
        usual = ("--data", "x.npz", "--threat", "linf:0.3", "--attacks", attack, "--no-report", "--json")
        code = run(["evaluate", f"own_nets:{model}", *usual, *arguments])
        return Answer(code, *self.capsys.readouterr())


@pytest.fixture
def evaluate(folder: Any, capsys: pytest.CaptureFixture[str]) -> Call:
    folder.write({"own_nets": NETS, "own_exit": "import sys\nsys.exit(0)\n"})
    light = np.random.default_rng(0).random((12, 6)).astype(np.float32)
    x = np.where(light > 0.5, 0.7 + 0.1 * light, 0.2 + 0.2 * light).astype(np.float32)
    y = ((np.round(x) - 0.5) @ np.linspace(-1, 1, 6) > 0).astype(int)
    np.savez("x.npz", x=x, y=y)
    return Call(capsys)


def refused(answer: Answer, *parts: str) -> None:
    """Exit code 2, and one line with all of ``parts``."""
    assert (answer.code, answer.out) == (2, ""), answer.err
    (line,) = answer.err.splitlines()
    for part in parts:
        assert part in line


def test_a_module_that_leaves_at_import_is_an_error(evaluate: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "own_exit:net", "--data", "x.npz", "--threat", "linf:0.3"]) == 2
    assert "own_exit:net: own_exit could not be imported: it called sys.exit(0)" in capsys.readouterr().err


def test_a_factory_that_leaves_is_an_error(evaluate: Call) -> None:
    refused(evaluate("leaves"), "own_nets:leaves() failed: it called sys.exit(0)")


def test_a_model_that_leaves_in_a_pass_is_an_error(evaluate: Call) -> None:
    refused(evaluate("leaves_in_a_pass"), "it called sys.exit(0)")


def test_a_surrogate_that_leaves_is_an_error(evaluate: Call) -> None:
    answer = evaluate("Hard", "--surrogate", "own_nets:leaves", "--gradients", "bpda")
    refused(answer, "own_nets:leaves() failed: it called sys.exit(0)")


def test_whatever_leaves_elsewhere_never_ends_in_exit_code_0(evaluate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("advplug.evaluation.evaluate", lambda *_, **__: sys.exit(0))
    answer = evaluate("Net")
    assert (answer.code, answer.out) == (3, "")
    assert "called sys.exit(0) during the command" in answer.err


def test_a_reader_that_stops_reading_is_no_fault(evaluate: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in ``advplug evaluate ... | head -1``; click leaves with exit code 1 then."""

    def unread(*_: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr("advplug.cli._evaluation.carry_out", unread)
    with pytest.raises(SystemExit) as left:
        evaluate("Net")
    assert left.value.code == 1


def test_an_interruption_in_a_factory_passes_through(evaluate: Call) -> None:
    assert evaluate("interrupted").code == 130


@pytest.mark.parametrize("model", ["scores", "ready", "Callable", "Net"])
def test_functions_of_tensors_are_attacked_with_their_gradient(evaluate: Call, model: str) -> None:
    row = evaluate(model).row
    assert row["robust_accuracy"] < 0.2
    assert row["gradients"] > 0


@pytest.mark.parametrize("model", ["arrays", "fitted", "fitted_later", "plain", "Estimator"])
def test_functions_of_arrays_and_estimators_are_attacked_through_their_scores(evaluate: Call, model: str) -> None:
    row = evaluate(model, attack="square").row
    assert row["robust_accuracy"] < 0.2


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("labels", ("own_nets:labels is of type Labels", "PlainModel(model.predict_proba, K)")),
        ("Labels", ("own_nets:Labels is of type Labels", "PlainModel")),
        ("Needs", ("own_nets:Needs needs size: name what makes the model without an argument",)),
        ("build", ("If own_nets:build makes the model, let it take no argument",)),
        ("scale", ("own_nets:scale needs x, by",)),
        ("broken", ("own_nets:broken: reading broken failed: RuntimeError: no such luck",)),
        ("moody", ("own_nets:moody: reading predict_proba failed: RuntimeError: no such luck",)),
        ("scorer", ("own_nets:scorer: reading predict_proba failed: RuntimeError: no such luck",)),
        ("W", ("own_nets:W is of type Tensor",)),
        ("shape", ("must return logits (N, K)", "(1,)")),
        ("text", ("returned a str",)),
        ("absent", ("own_nets has no absent",)),
    ],
)
def test_what_is_no_model_is_refused(evaluate: Call, model: str, parts: tuple[str, ...]) -> None:
    refused(evaluate(model), *parts)


@pytest.mark.parametrize("output", ["logits", "1" * 5000])
def test_an_output_of_a_defended_model_is_refused_since_it_would_lose_its_decisions(
    evaluate: Call, output: str
) -> None:
    refused(evaluate("DictDefended", "--output", output), "own_nets:DictDefended is a DictDefended: leave --output out")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("own_nets.py:Net", "write own_nets:Net"),
        ("./own_nets.py:Net", "write own_nets:Net"),
        ("nets/small:Net", "write nets.small:Net"),
        ("../own_nets.py:Net", "write own_nets:Net in the folder .."),
        ("types:Net", "which hides your types.py: give that another name"),
    ],
)
def test_a_file_is_named_as_its_module(
    evaluate: Call, folder: Any, capsys: pytest.CaptureFixture[str], name: str, remedy: str
) -> None:
    (folder.path / "types.py").write_text(NETS)
    code = run(["evaluate", name, "--data", "x.npz", "--threat", "linf:0.3"])
    refused(Answer(code, *capsys.readouterr()), remedy)


@pytest.mark.parametrize("stand_in", ["smooth", "Smooth"])
@pytest.mark.parametrize("model", ["hard", "Hard", "HardDefended", "hard_arrays"])
def test_a_surrogate_breaks_a_model_without_gradients(evaluate: Call, model: str, stand_in: str) -> None:
    row = evaluate(model, "--surrogate", f"own_nets:{stand_in}", "--gradients", "bpda").row
    assert row["components"]["gradient"].startswith("BPDA(")
    assert row["robust_accuracy"] < 0.5
    assert row["gradients"] > 0


def test_exact_gradients_of_such_a_model_end_in_a_message_that_names_the_option(evaluate: Call) -> None:
    answer = evaluate("Hard", "--gradients", "exact")
    assert (answer.code, answer.out) == (2, "")
    assert "gives no gradient" in answer.err.splitlines()[-1]
    assert "--surrogate" in answer.err.splitlines()[-1]


def test_bpda_without_a_surrogate_names_the_option(evaluate: Call) -> None:
    refused(
        evaluate("Hard", "--gradients", "bpda"), "has no method surrogate(x)", "--surrogate package.module:callable"
    )


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--surrogate", "own_nets:smooth"), ("add bpda to --gradients",)),
        (("--surrogate", "own_nets:smooth", "--gradients", "eot:2"), ("add bpda to --gradients",)),
        (("--surrogate", "own_nets:absent", "--gradients", "bpda"), ("own_nets has no absent",)),
        (("--surrogate", "own_nets:three", "--gradients", "bpda"), ("scores (N, 2) as the model does, not (1, 3)",)),
        (("--surrogate", "own_nets:text", "--gradients", "bpda"), ("not str",)),
        (("--surrogate", "own_nets:hard", "--gradients", "bpda"), ("gives no gradient",)),
        (("--surrogate", "own_nets:arrays", "--gradients", "bpda"), ("does not take inputs of shape (1, 6)",)),
    ],
)
def test_surrogates_that_cannot_work_are_refused(
    evaluate: Call, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    refused(evaluate("Hard", *arguments), *parts)


def test_another_surrogate_makes_another_run(evaluate: Call) -> None:
    words = ("--gradients", "bpda", "--out", "there", "--surrogate")
    evaluate("Hard", *words, "own_nets:smooth")
    assert "read from the run directory" in evaluate("Hard", *words, "own_nets:smooth").err
    assert "read from the run directory" not in evaluate("Hard", *words, "own_nets:scores").err


@pytest.mark.parametrize(("model", "output"), [("named", "logits_of_heads"), ("paired", "1")])
def test_output_names_the_scores_among_several(evaluate: Call, model: str, output: str) -> None:
    refused(evaluate(model), "--output")
    assert evaluate(model, "--output", output).row["robust_accuracy"] < 0.2
    refused(evaluate(model, "--output", "absent"), "absent")


def test_a_configuration_file_names_surrogate_and_output(evaluate: Call, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('surrogate = "own_nets:smooth"\ngradients = ["bpda"]\n')
    assert evaluate("Hard", "--config", "run.toml").row["robust_accuracy"] < 0.5
    (tmp_path / "run.toml").write_text("output = 1\n")
    assert evaluate("paired", "--config", "run.toml").row["robust_accuracy"] < 0.2
