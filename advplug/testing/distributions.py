"""Small distributions that are really installed: what a host finds in site-packages, made from a few texts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

WHEEL = "Wheel-Version: 1.0\nGenerator: advplug.testing\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, kw_only=True)
class SmallDistribution:
    """A pure Python distribution.

    Parameters
    ----------
    name, version: as in its metadata.
    modules: source of each module by file name, such as ``{"advplug_attack_x.py": "..."}``.
    entry_points: module (or ``module:attribute``) by entry-point name, in the group ``advplug``. A text instead is
        the whole ``entry_points.txt``, for files that no build tool writes.
    requires: its dependencies.
    """

    name: str
    version: str = "0.1.0"
    modules: Mapping[str, str] = field(default_factory=dict)
    entry_points: Mapping[str, str] | str = field(default_factory=dict)
    requires: Sequence[str] = ()

    def wheel(self, folder: Path) -> Path:
        """Write the wheel into ``folder`` and return its path."""
        path = folder / f"{self._escaped}-{self.version}-py3-none-any.whl"
        files = self._files(installer=False)
        with ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    def install(self, folder: Path) -> Path:
        """Put the files where an installer puts those of the wheel, into ``folder``, and return it.

        Tests install dozens of distributions; an installer needs a second for each.
        """
        for name, content in self._files(installer=True).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    @property
    def _escaped(self) -> str:
        return self.name.replace("-", "_").replace(".", "_")

    def _files(self, *, installer: bool) -> dict[str, bytes]:
        information = f"{self._escaped}-{self.version}.dist-info"
        points = self.entry_points
        if not isinstance(points, str):
            points = "[advplug]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        fields = [("Metadata-Version", "2.1"), ("Name", self.name), ("Version", self.version)]
        fields += [("Requires-Dist", requirement) for requirement in self.requires]
        texts = {
            **self.modules,
            f"{information}/METADATA": "".join(f"{name}: {value}\n" for name, value in fields),
            f"{information}/WHEEL": WHEEL,
            f"{information}/entry_points.txt": points,
            **({f"{information}/INSTALLER": "pip\n"} if installer else {}),
        }
        files = {name: text.encode() for name, text in texts.items()}
        record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
        return {**files, f"{information}/RECORD": f"{record}{information}/RECORD,,\n".encode()}


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def attack_source(*names: str, factory: str = "fractions:Fraction", before: str = "") -> str:
    """Source of a plugin module with one :class:`advplug.AttackSpec` for each name; ``before`` is its first lines."""
    specs = ", ".join(
        f"AttackSpec(name={name!r}, factory={factory!r}, summary='one', reference='none')" for name in names
    )
    imports = f"{before}\nfrom advplug import AttackSpec, hookimpl\n"
    return f"{imports}\n@hookimpl\ndef advplug_attacks():\n    return [{specs}]\n"
