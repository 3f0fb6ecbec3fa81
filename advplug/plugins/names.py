"""Who owns a plugin's name: one distribution, or nobody where several want it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from advplug.errors import InvalidSpec
from advplug.plugins.discovery import Provenance
from advplug.specs import PluginSpec

Claim = tuple[PluginSpec, Provenance]


class Claims:
    """Names and what they stand for.

    ``found`` has the plugins by ``kind:name`` and by ``distribution:kind:name``, ``contested`` those who want a short
    name that nobody got, ``refused`` why a name that somebody claimed is of no use.
    """

    def __init__(self) -> None:
        self.found: dict[str, Claim] = {}
        self.contested: dict[str, list[Provenance]] = {}
        self.refused: dict[str, InvalidSpec] = {}

    def settle(self, key: str, claimants: list[Claim]) -> Iterator[tuple[Provenance, InvalidSpec]]:
        """Decide on ``key`` and yield who does not get it, and why.

        It goes to the only claimant, or to the one in the distribution that is named after it; the others keep
        ``distribution:kind:name``. A distribution that claims it more than once gets nothing.
        """
        claimants = sorted(claimants, key=lambda claim: claim[1].label)  # pluggy calls the plugin that came last first
        times = Counter(source.distribution for _, source in claimants)
        yield from self._repeated(key, [source for _, source in claimants if times[source.distribution] > 1])
        claimants = [claim for claim in claimants if times[claim[1].distribution] == 1]
        for spec, source in claimants:
            self.found[f"{source.distribution}:{key}"] = (spec, source)
        winners = [claim for claim in claimants if len(claimants) == 1 or claim[1].distribution == owner(key)]
        if winners:
            self.found[key] = winners[0]
        elif claimants:
            self.contested[key] = [source for _, source in claimants]
        everyone = ", ".join(source.distribution for _, source in claimants)
        for claim in claimants:
            if claim not in winners:
                use = f"{claim[1].distribution}:{key}"
                yield claim[1], InvalidSpec(f"{key} is claimed by {everyone}: this one is {use}")

    def _repeated(self, key: str, sources: list[Provenance]) -> Iterator[tuple[Provenance, InvalidSpec]]:
        for source in {source.distribution: source for source in sources}.values():
            error = InvalidSpec(f"{source.distribution} brings {key} more than once: none of them can be used")
            self.refused[key] = self.refused[f"{source.distribution}:{key}"] = error
            yield source, error


def owner(key: str) -> str:
    """``advplug-<kind>-<name>``, the distribution that owns the short name ``kind:name``."""
    kind, name = key.split(":")[:2]  # of attack:foolbox:LinfPGD the library: one distribution brings all of its attacks
    return f"advplug-{kind}-{name}"
