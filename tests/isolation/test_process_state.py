"""A plugin that brings torch in and changes it: a process that has not imported torch has nothing to compare with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from advplug.testing.distributions import SmallDistribution, attack_source

Advplug = Callable[..., Any]  # see conftest.py, which test files cannot import
Install = Callable[..., Path]

CHANGES = """
import random, numpy, torch
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.use_deterministic_algorithms(True)
torch.backends.cudnn.benchmark = True
torch.manual_seed(3)
numpy.random.seed(3)
random.seed(3)
"""
SHOWN = """
import random, numpy, torch
print(torch.is_grad_enabled(), torch.get_default_dtype(), torch.empty(0).device, torch.initial_seed() == 3,
      torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, numpy.random.get_state()[1][0] == 3)
class Late: pass
"""
NAMES = (
    "Python's random state, NumPy's random state, torch's grad mode, torch's default dtype, torch's default device, "
    "torch's deterministic algorithms, torch's cudnn.benchmark, torch's random state"
)


def plugin(source: str, parts: str) -> SmallDistribution:
    return SmallDistribution(
        name="advplug-attack-late",
        version="1.2.3",
        modules={"advplug_attack_late.py": source, "late_parts.py": parts},
        entry_points={"attack-late": "advplug_attack_late"},
    )


@pytest.mark.parametrize("where", ["import", "factory"])
def test_torch_as_it_came_is_put_back(advplug: Advplug, site: Install, working: set[str], where: str) -> None:
    before = CHANGES if where == "import" else ""
    parts = SHOWN if where == "import" else f"{CHANGES}\nclass Late: pass"
    folder = site(plugin(attack_source("late", factory="late_parts:Late", before=before), parts))

    doctor = advplug(folder, "doctor", "--json", ADVPLUG_PLUGINS="advplug-attack-late")
    assert doctor.code == 0, "the plugin works"
    (problem,) = doctor.document["problems"]
    assert (problem["distribution"], problem["stage"], problem["severity"]) == ("advplug-attack-late", where, "warning")
    assert problem["error"] == f"changed {NAMES} on import; restored"

    listed = advplug(folder, "list")
    assert (listed.code, listed.keys, listed.stderr) == (0, working | {"attack:late"}, "")
    assert listed.heavy == (["torch", "numpy"] if where == "import" else [])
    if where == "import":
        shown = advplug(folder, "show", "--full", "attack:late")
        assert "True torch.float32 cpu False False False False\n" in shown.stderr


def test_a_noisy_plugin_leaves_json_alone(advplug: Advplug, site: Install) -> None:
    noise = "import ctypes, os\nos.write(1, b'from the system\\n')\nctypes.CDLL(None).printf(b'from C\\n')\n"
    folder = site(plugin(attack_source("late", factory="late_parts:Late", before=noise), f"{noise}\nclass Late: pass"))
    for arguments in (["list"], ["show", "--full", "attack:late"], ["doctor"]):
        answer = advplug(folder, *arguments, "--json", ADVPLUG_PLUGINS="advplug-attack-late")
        assert answer.code == 0
        assert answer.document["schema_version"] == 1
        assert "from the system\n" in answer.stderr
        assert "from C\n" in answer.stderr
