"""Settings for uv taken from pip's: uv reads neither pip.conf nor PIP_*, and a fresh machine may have nothing else.

usage: python tools/uv_settings.py    prints NAME=value lines
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

SECTIONS = ("global", "install", ":env:")
"""Sections of pip's configuration that hold for an install, the strongest last."""


def pip_settings() -> dict[str, str]:
    """What pip is told by its files and by PIP_* variables: option -> value; nothing where pip is not installed."""
    if find_spec("pip") is None:
        return {}
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in found:
            found[section][option] = str(ast.literal_eval(value))
    return {option: value for section in SECTIONS for option, value in found[section].items()}


def uv_settings(pip: Mapping[str, str]) -> dict[str, str]:
    """The same for uv; find-links folders that do not exist are left out, for uv fails on them and pip does not."""
    settings = {
        "UV_FIND_LINKS": ",".join(_existing(pip.get("find-links", "").split())),
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(pip.get("extra-index-url", "").split()),
        # pip looks at every index for the best version; uv, unless told so, at the first that has the name.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if pip.get("extra-index-url") else "",
        "UV_NO_INDEX": "1" if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"} else "",
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": pip.get("timeout", pip.get("default-timeout", "")),
        "SSL_CERT_FILE": pip.get("cert", ""),
    }
    return {name: value for name, value in settings.items() if value}


def fill(environ: dict[str, str] | os._Environ[str]) -> None:
    """Add to ``environ`` what it lacks."""
    for name, value in uv_settings(pip_settings()).items():
        environ.setdefault(name, value)


def _existing(links: Iterable[str]) -> list[str]:
    """The links without the folders that are missing."""

    def is_there(link: str) -> bool:
        url = urlsplit(link)
        if url.scheme in {"http", "https"}:
            return True
        return Path(url2pathname(url.path) if url.scheme == "file" else link).exists()

    return [link for link in links if is_there(link)]


if __name__ == "__main__":
    for setting in uv_settings(pip_settings()).items():
        print("=".join(setting))
