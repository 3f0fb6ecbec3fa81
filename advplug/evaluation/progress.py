"""Progress of rows, from what is heard of their slices."""

from __future__ import annotations

from collections.abc import Sequence

from advplug.evaluation.chain import Chain
from advplug.evaluation.problems import Watch


class Progress:
    """Shows one row after the other, however many are worked on at once.

    Parameters
    ----------
    watch: is shown the progress.
    names: of the rows that are worked on, by the number of their recipe, in order.
    chains: all that is worked on.
    """

    def __init__(self, watch: Watch | None, names: dict[int, str], chains: Sequence[Chain]) -> None:
        self.watch, self.names = watch, names
        self._shares = {number: _shares(number, chains) for number in names}
        self._alive = {chain: chain.stop - chain.start for chain in chains}
        self._waiting, self._finished = list(names), set[int]()
        self._begin()

    def heard(self, chain: Chain, done: int, total: int, alive: int) -> None:
        """One word of progress of one chain."""
        shares = self._shares[chain.recipe]
        shares[chain], self._alive[chain] = (done, total), alive
        if self.watch is None or not self._waiting or self._waiting[0] != chain.recipe:
            return
        steps = sum(done * total // max(1, of) for done, of in shares.values())
        standing = sum(self._alive[each] for each in shares)
        self.watch(self.names[chain.recipe], steps, total * len(shares), standing)

    def finished(self, chain: Chain) -> None:
        """The chain is done; as many samples stand as were heard of last."""
        self._shares[chain.recipe][chain] = (1, 1)

    def row_finished(self, number: int) -> None:
        """The row is done: the next one that is not is shown, after those that were done before their turn."""
        self._finished.add(number)
        while self._waiting and self._waiting[0] in self._finished:
            self._waiting.pop(0)
            self._begin()

    def _begin(self) -> None:
        if self.watch is not None and self._waiting:
            number = self._waiting[0]
            self.watch(self.names[number], 0, 0, sum(chain.stop - chain.start for chain in self._shares[number]))


def _shares(number: int, chains: Sequence[Chain]) -> dict[Chain, tuple[int, int]]:
    """Steps done and planned of each chain of one row; nothing yet."""
    return {chain: (0, 1) for chain in chains if chain.recipe == number}
