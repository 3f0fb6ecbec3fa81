"""One observation about an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One observation, made by the host or by a plugin's ``advplug_diagnose``.

    ``status`` says whether it passes; ``advice`` names the component to change.
    """

    name: str
    status: Literal["pass", "warn", "fail", "not-run"]
    message: str
    advice: str = ""
