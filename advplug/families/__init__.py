"""Bases that several plugins share: kinds of search, attacks around an attack, ensembles, wrapped losses, networks."""

from advplug.families.activations import find_layer, scores_and_activations
from advplug.families.around import AttackAround
from advplug.families.averaged_perturbation import AveragedPerturbation
from advplug.families.constant_search import ConstantSearchAttack
from advplug.families.ensemble import Ensemble
from advplug.families.log_probabilities import AtLogProbabilities
from advplug.families.lookalike import Lookalike
from advplug.families.networks import CarliniNet, DigitNet, SequentialModel, convolutions
from advplug.families.random_search import START, Best, RandomSearch
from advplug.families.surrogate import Network, SurrogateAttack, trained, untrained
from advplug.families.wrapped_losses import LinearReadout, MeanOverMembers, WrappedLoss

__all__ = [
    "START",
    "AtLogProbabilities",
    "AttackAround",
    "AveragedPerturbation",
    "Best",
    "CarliniNet",
    "ConstantSearchAttack",
    "DigitNet",
    "Ensemble",
    "LinearReadout",
    "Lookalike",
    "MeanOverMembers",
    "Network",
    "RandomSearch",
    "SequentialModel",
    "SurrogateAttack",
    "WrappedLoss",
    "convolutions",
    "find_layer",
    "scores_and_activations",
    "trained",
    "untrained",
]
