"""A search for the adaptive attack (Yao, Bielik, Tsankov and Vechev 2021) as a cascade of advplug attacks."""

from __future__ import annotations

from dataclasses import dataclass

from advplug.composition import Searching


@dataclass(frozen=True, kw_only=True)
class Auto(Searching):
    """The standard suite, then up to three sentences of attack, loss, gradient and targets, each searched on survivors.

    The search tries every installed attack that fits the problem, every loss of scores, and the gradients that a trace
    of the model's forward pass shows. It proposes sentences by TPE, tries them on few samples and the best quarter on
    twice as many. The sentence that breaks most runs on all samples that still stand.

    Parameters
    ----------
    trials: sentences that are tried for each sentence of the sequence, those on more samples counted again.
    samples: on how many samples, at most.
    sentences: how many the sequence has, at most three.
    sampler: ``tpe`` learns from the trials before, ``random`` does not.
    traced: whether gradient networks take part.
    halving: whether the first trials see few samples only, and the best of them more.
    cost: passes that the search for the first sentence may use, as a multiple of those of the suite before it.
    steps: of an attack in a trial; the sentence that wins runs for twice as many.
    held_out: whether sentences are chosen on one half of the samples alone.
    """
