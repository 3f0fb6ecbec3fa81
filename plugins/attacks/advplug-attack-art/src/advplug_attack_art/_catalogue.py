"""What is known of ART's evasion attacks without importing ART."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from advplug.interop import EVERY_NORM, Access, Catalogue, Entry

L1_L2_LINF = ("linf", "l2", "l1")
L2_LINF = ("linf", "l2")

FGSM = "Explaining and Harnessing Adversarial Examples, ICLR 2015 (1412.6572)"
BIM = "Adversarial Examples in the Physical World, ICLR workshop 2017 (1607.02533)"
PGD = "Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018 (1706.06083)"
MOMENTUM = "Boosting Adversarial Attacks with Momentum, CVPR 2018 (1710.06081)"
AUTO = "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Attacks, ICML 2020 (2003.01690)"
ACG = "Diversified Adversarial Attacks based on Conjugate Gradient Method, ICML 2022 (2206.09628)"
REACG = "Enhancing Output Diversity Improves Conjugate Gradient-based Adversarial Attacks, ICPR 2024 (2408.03972)"
CW = "Towards Evaluating the Robustness of Neural Networks, IEEE S&P 2017 (1608.04644)"
EAD = "EAD: Elastic-Net Attacks to Deep Neural Networks via Adversarial Examples, AAAI 2018 (1709.04114)"
DEEPFOOL = "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks, CVPR 2016 (1511.04599)"
NEWTON = "Objective Metrics and Gradient Descent Algorithms for Adversarial Examples, ACSAC 2017"
JSMA = "The Limitations of Deep Learning in Adversarial Settings, EuroS&P 2016 (1511.07528)"
VAT = "Distributional Smoothing with Virtual Adversarial Training, ICLR 2016 (1507.00677)"
SHADOW = "Breaking Certified Defenses: Semantic Adversarial Examples, ICLR 2020 (2003.08937)"
WASSERSTEIN = "Wasserstein Adversarial Examples via Projected Sinkhorn Iterations, ICML 2019 (1902.07906)"
BETHGE = "Accurate, Reliable and Fast Robustness Evaluation, NeurIPS 2019 (1907.01003)"
UNIVERSAL = "Universal Adversarial Perturbations, CVPR 2017 (1610.08401)"
TARGETED_UNIVERSAL = "Simple Black-box Universal Adversarial Attacks, IJCNN 2020 (1911.06502)"
BOUNDARY = "Decision-Based Adversarial Attacks, ICLR 2018 (1712.04248)"
HOPSKIPJUMP = "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack, IEEE S&P 2020 (1904.02144)"
GEODA = "GeoDA: A Geometric Framework for Black-box Adversarial Attacks, CVPR 2020 (2003.06468)"
SIGNOPT = "Sign-OPT: A Query-Efficient Hard-label Adversarial Attack, ICLR 2020 (1909.10773)"
SQUARE = "Square Attack: A Query-efficient Black-box Attack via Random Search, ECCV 2020 (1912.00049)"
SIMBA = "Simple Black-box Adversarial Attacks, ICML 2019 (1905.07121)"
ZOO = "ZOO: Zeroth Order Optimization Based Black-box Attacks, AISec 2017 (1708.03999)"
PIXEL = "One Pixel Attack for Fooling Deep Neural Networks, 2019 (1710.08864)"
DUAL = "Understanding the One-Pixel Attack: Propagation Maps and Locality Analysis, 2019 (1906.06026)"
SPATIAL = "A Rotation and a Translation Suffice: Fooling CNNs with Simple Transformations, ICML 2019 (1712.02779)"

PATCH = "makes one patch for all images, not an image within a budget"
DETECTORS = "attacks object detectors, not classifiers"
SPEECH = "attacks speech recognition"
VIDEO = "attacks classifiers and trackers of video"
GUIDE = "takes guide images and a named layer in place of labels"

LEFT_OUT = {
    "AdversarialPatch": PATCH,
    "AdversarialPatchNumpy": PATCH,
    "AdversarialPatchPyTorch": PATCH,
    "AdversarialPatchTensorFlowV2": f"{PATCH}; TensorFlow",
    "AdversarialTexturePyTorch": VIDEO,
    "CarliniWagnerASR": SPEECH,
    "CompositeAdversarialAttackPyTorch": "looks for the model's weights, which are hidden from other libraries",
    "DPatch": DETECTORS,
    "DecisionTreeAttack": "attacks decision trees",
    "FeatureAdversariesNumpy": GUIDE,
    "FeatureAdversariesPyTorch": GUIDE,
    "FeatureAdversariesTensorFlowV2": f"{GUIDE}; TensorFlow",
    "FrameSaliencyAttack": VIDEO,
    "GRAPHITEBlackbox": "makes a sticker for photographs of one object: needs its mask and viewpoints",
    "GRAPHITEWhiteboxPyTorch": "makes a sticker for photographs of one object: needs its mask and viewpoints",
    "HighConfidenceLowUncertainty": "attacks Gaussian processes",
    "ImperceptibleASR": SPEECH,
    "ImperceptibleASRPyTorch": SPEECH,
    "LaserAttack": "draws laser beams by a generator that the user has to write; colour images",
    "LowProFool": "attacks tabular data",
    "MalwareGDTensorFlow": "attacks malware detectors; TensorFlow",
    "OverTheAirFlickeringPyTorch": VIDEO,
    "OverloadPyTorch": DETECTORS,
    "ProjectedGradientDescentNumpy": "ProjectedGradientDescent for other frameworks",
    "ProjectedGradientDescentPyTorch": "what ProjectedGradientDescent runs on PyTorch",
    "ProjectedGradientDescentTensorFlowV2": "ProjectedGradientDescent for TensorFlow",
    "RobustDPatch": DETECTORS,
    "SNAL": DETECTORS,
}


def _fixed(norms: tuple[str, ...], summary: str, reference: str, access: Access = "white-box", **more: Any) -> Entry:
    return Entry(summary=summary, reference=reference, norms=norms, budget="fixed", access=access, **more)


def _least(norms: tuple[str, ...], summary: str, reference: str, access: Access = "white-box", **more: Any) -> Entry:
    return Entry(summary=summary, reference=reference, norms=norms, budget="minimum-norm", access=access, **more)


def _white_box() -> Iterator[tuple[str, Entry]]:
    yield "FastGradientMethod", _fixed(L1_L2_LINF, "One fast gradient step", FGSM, targeted=True)
    yield "BasicIterativeMethod", _fixed(("linf",), "Basic iterative method", BIM, targeted=True)
    yield "ProjectedGradientDescent", _fixed(L1_L2_LINF, "Projected gradient descent", PGD, targeted=True)
    yield "MomentumIterativeMethod", _fixed(L1_L2_LINF, "Gradient steps with momentum", MOMENTUM, targeted=True)
    yield "AutoProjectedGradientDescent", _fixed(L1_L2_LINF, "Auto-PGD with step sizes of its own", AUTO, targeted=True)
    yield "AutoConjugateGradient", _fixed(L1_L2_LINF, "Auto-PGD along conjugate gradients", ACG, targeted=True)
    rescaled = "Auto-PGD along rescaled conjugate gradients"
    yield "RescalingAutoConjugateGradient", _fixed(L1_L2_LINF, rescaled, REACG, targeted=True)
    summary = "Auto-PGD, DeepFool and Square one after the other"
    yield "AutoAttack", _fixed(L1_L2_LINF, summary, AUTO, targeted=True, needs="multiprocess")
    yield (
        "VirtualAdversarialMethod",
        _fixed(("l2",), "Virtual adversarial direction: largest change of the answers", VAT),
    )
    universal = "One perturbation for all images, from DeepFool steps"
    yield "UniversalPerturbation", _fixed(L2_LINF, universal, UNIVERSAL)
    targeted = "One perturbation for all images towards targets, from gradient steps"
    yield "TargetedUniversalPerturbation", _fixed(L2_LINF, targeted, TARGETED_UNIVERSAL, targeted=True)
    yield "CarliniL2Method", _least(("l2",), "Carlini and Wagner's L2 attack", CW, targeted=True)
    yield "CarliniLInfMethod", _least(("linf",), "Carlini and Wagner's Linf attack", CW, targeted=True)
    yield "CarliniL0Method", _least(("l0",), "Carlini and Wagner's L0 attack", CW, targeted=True)
    yield "ElasticNet", _least(("l1",), "Elastic-net attack", EAD, targeted=True)
    yield "DeepFool", _least(("l2",), "DeepFool under L2", DEEPFOOL)
    yield "NewtonFool", _least(("l2",), "NewtonFool: steps that lower the confidence", NEWTON)
    yield "SaliencyMapMethod", _least(("l0",), "Jacobian saliency maps: pixel after pixel", JSMA, targeted=True)
    summary, copies = "Smooth and shadow-like changes of any size", {"batch_size": 400}  # noisy copies of one image
    yield "ShadowAttack", _least(EVERY_NORM, summary, SHADOW, targeted=True, defaults=copies)
    summary = "Projected gradient descent in the Wasserstein ball of its own eps"
    own = {"eps": 0.3, "norm": "wasserstein"}
    yield "Wasserstein", _least(EVERY_NORM, summary, WASSERSTEIN, targeted=True, defaults=own)
    summary = "Brendel and Bethge's walk along the boundary"
    yield "BrendelBethgeAttack", _least(L1_L2_LINF, summary, BETHGE, targeted=True, needs="numba")


def _black_box() -> Iterator[tuple[str, Entry]]:
    yield "SquareAttack", _fixed(L2_LINF, "Random search with squares", SQUARE, "score-based")
    summary, one = "Random search along pixels or cosines", {"batch_size": 1}  # ART takes no more, here and in ZOO
    yield "SimBA", _least(("l2",), summary, SIMBA, "score-based", targeted=True, defaults=one)
    summary = "ZOO: Carlini-Wagner by finite differences"
    yield "ZooAttack", _least(("l2",), summary, ZOO, "score-based", targeted=True, defaults=one)
    yield "PixelAttack", _least(("l0",), "Few pixels, by evolution", PIXEL, "score-based", targeted=True)
    summary = "All pixels within a threshold, by evolution"
    yield "ThresholdAttack", _least(("linf",), summary, DUAL, "score-based", targeted=True, needs="cma")
    turns = "Rotations and shifts of the image"
    yield "SpatialTransformation", _least(EVERY_NORM, turns, SPATIAL, "decision-based")
    walk = "Random walk along the decision boundary"
    yield "BoundaryAttack", _least(("l2",), walk, BOUNDARY, "decision-based", targeted=True)
    normals = "Walk along the boundary by estimated normals"
    yield "HopSkipJump", _least(L2_LINF, normals, HOPSKIPJUMP, "decision-based", targeted=True)
    yield "GeoDA", _least(L1_L2_LINF, "Estimated normals of a flat boundary", GEODA, "decision-based")
    sign = "Descent of the distance by signs of directional derivatives"
    yield "SignOPTAttack", _least(("l2",), sign, SIGNOPT, "decision-based", targeted=True)


CATALOGUE = Catalogue(
    library="adversarial-robustness-toolbox",
    title="ART",
    prefix="art",
    package="art.attacks.evasion",
    factory="advplug_attack_art._attacks",
    entries={**dict(_white_box()), **dict(_black_box())},
    left_out=LEFT_OUT,
)
