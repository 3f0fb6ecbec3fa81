"""What tox.ini cannot say: which plugins there are, where each one lies, and what pip knows and uv does not."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

from tox.config.sets import EnvConfigSet
from tox.plugin import impl
from tox.session.state import State

ROOT = Path(__file__).resolve().parent
PLUGINS = {path.parent.name.removeprefix("advplug-"): path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml")}

runpy.run_path(str(ROOT / "tools" / "uv_settings.py"))["fill"](os.environ)


@impl
def tox_extend_envs() -> list[str]:
    """One environment a plugin: a new folder needs no edit."""
    return sorted(PLUGINS)


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Give each plugin's environment the setting ``{plugin_folder}``."""
    folder = PLUGINS.get(env_conf.name)
    env_conf.add_config("plugin_folder", of_type=str, default=str(folder or ""), desc="folder of the plugin under test")
