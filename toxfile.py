"""What tox.ini cannot say: which plugins there are, where each one lies, and what pip knows and uv does not."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

from tox.config.sets import EnvConfigSet
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.api import ToxEnv
from tox.tox_env.errors import Fail
from uv import find_uv_bin

ROOT = Path(__file__).resolve().parent
PLUGINS = {path.parent.name.removeprefix("advplug-"): path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml")}
WHEELHOUSE = runpy.run_path(str(ROOT / "tools" / "wheelhouse.py"))
built: set[str] = set()

runpy.run_path(str(ROOT / "tools" / "uv_settings.py"))["fill"](os.environ)
os.environ.setdefault("UV", find_uv_bin())


@impl
def tox_extend_envs() -> list[str]:
    """One environment a plugin: a new folder needs no edit."""
    return sorted(PLUGINS)


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Give each plugin's environment the setting ``{plugin_folder}``."""
    folder = PLUGINS.get(env_conf.name or "", ROOT)
    env_conf.add_config("plugin_folder", of_type=Path, default=folder, desc="folder of the plugin under test")


@impl
def tox_on_install(tox_env: ToxEnv, arguments: Any, section: str, of_type: str) -> None:
    """Refuse to test wheels that are older than the sources, unless this very run built them."""
    if tox_env.name == "wheelhouse":
        built.add(tox_env.name)
    elif not built and (changed := WHEELHOUSE["stale"](ROOT, tox_env.core["work_dir"] / "wheelhouse")):
        raise Fail(f"the wheels are older than {changed}: tox -e wheelhouse,{tox_env.name}")
