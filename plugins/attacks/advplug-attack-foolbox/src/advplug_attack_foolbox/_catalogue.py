"""What is known of Foolbox's attacks without importing Foolbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from advplug.interop import EVERY_NORM, Access, Catalogue, Entry

FGSM = "Explaining and Harnessing Adversarial Examples, ICLR 2015 (1412.6572)"
BIM = "Adversarial Examples in the Physical World, ICLR workshop 2017 (1607.02533)"
PGD = "Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018 (1706.06083)"
ADAM = f"{PGD}, with the steps of Adam (1412.6980)"
MOMENTUM = "Boosting Adversarial Attacks with Momentum, CVPR 2018 (1710.06081)"
SLIDE = "Adversarial Training and Robustness for Multiple Perturbations, NeurIPS 2019 (1904.13000)"
VAT = "Distributional Smoothing with Virtual Adversarial Training, ICLR 2016 (1507.00677)"
CLIPPING = "Fast Differentiable Clipping-Aware Normalization and Rescaling, ICML workshop 2020 (2007.07677)"
GEN = "GenAttack: Practical Black-box Attacks with Gradient-Free Optimization, GECCO 2019 (1805.11090)"
CW = "Towards Evaluating the Robustness of Neural Networks, IEEE S&P 2017 (1608.04644)"
EAD = "EAD: Elastic-Net Attacks to Deep Neural Networks via Adversarial Examples, AAAI 2018 (1709.04114)"
DDN = "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks, CVPR 2019 (1811.09600)"
FMN = "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints, NeurIPS 2021 (2102.12827)"
DEEPFOOL = "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks, CVPR 2016 (1511.04599)"
NEWTON = "Objective Metrics and Gradient Descent Algorithms for Adversarial Examples, ACSAC 2017"
BETHGE = "Accurate, Reliable and Fast Robustness Evaluation, NeurIPS 2019 (1907.01003)"
BOUNDARY = "Decision-Based Adversarial Attacks, ICLR 2018 (1712.04248)"
HOPSKIPJUMP = "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack, IEEE S&P 2020 (1904.02144)"
POINTWISE = "Towards the First Adversarially Robust Neural Network Model on MNIST, ICLR 2019 (1805.09190)"
NEGATIVES = "On the Limitation of CNNs in Recognizing Negative Images, ICMLA 2017 (1703.06857)"
FOOLBOX = "Foolbox: A Python Toolbox to Benchmark the Robustness of Machine Learning Models, 2017 (1707.04131)"

LEFT_OUT = {
    "Attack": "",
    "DatasetAttack": "needs a data set to draw other images from, fed by hand",
    "SpatialAttack": "rotations and shifts: neither a budget nor a distance; art:SpatialTransformation is bridged",
}


def _fixed(norm: str, summary: str, reference: str, access: Access = "white-box", **more: Any) -> Entry:
    return Entry(summary=summary, reference=reference, norms=(norm,), budget="fixed", access=access, **more)


def _least(norms: tuple[str, ...], summary: str, reference: str, access: Access = "white-box", **more: Any) -> Entry:
    budget: Literal["minimum-norm"] = "minimum-norm"
    return Entry(summary=summary, reference=reference, norms=norms, budget=budget, access=access, **more)


def _in_each_norm() -> Iterator[tuple[str, Entry]]:
    """The gradient attacks that Foolbox has for every norm."""
    for norm, text in (("L1", "L1"), ("L2", "L2"), ("Linf", "Linf")):
        key = norm.lower()
        yield f"{norm}PGD", _fixed(key, f"Projected gradient descent under {text}", PGD, targeted=True)
        yield (
            f"{norm}AdamPGD",
            _fixed(key, f"Projected gradient descent under {text} by Adam's steps", ADAM, targeted=True),
        )
        yield f"{norm}BasicIterativeAttack", _fixed(key, f"Basic iterative method under {text}", BIM, targeted=True)
        yield (
            f"{norm}AdamBasicIterativeAttack",
            _fixed(key, f"Basic iterative method under {text}, Adam", ADAM, targeted=True),
        )
        momentum = "MIFGSM" if norm == "Linf" else f"{norm}MomentumIterativeFastGradientMethod"
        yield momentum, _fixed(key, f"Fast gradient steps with momentum under {text}", MOMENTUM, targeted=True)
        fast = {"L1": "L1FastGradientAttack", "L2": "FGM", "Linf": "FGSM"}[norm]
        yield fast, _fixed(key, f"One fast gradient step under {text}", FGSM)
    for name, key, text in (("L0", "l0", "L0"), ("L1", "l1", "L1"), ("L2", "l2", "L2"), ("LInf", "linf", "Linf")):
        yield f"{name}FMNAttack", _least((key,), f"Fast minimum norm under {text}", FMN, targeted=True)
        spelt = "Linfinity" if key == "linf" else name
        summary = f"Brendel and Bethge's walk along the boundary under {text}"
        yield f"{spelt}BrendelBethgeAttack", _least((key,), summary, BETHGE, needs="numba")


def _noise() -> Iterator[tuple[str, Entry]]:
    for kind in ("Gaussian", "Uniform"):
        for start, reference in (("", FOOLBOX), ("ClippingAware", CLIPPING)):
            what = f"{kind} noise of L2 length epsilon" + (" after clipping" if start else "")
            once = _fixed("l2", f"{what}, drawn once", reference, "decision-based")
            often = _fixed("l2", f"{what}, drawn until it succeeds", reference, "decision-based")
            yield f"L2{start}Additive{kind}NoiseAttack", once
            yield f"L2{start}RepeatedAdditive{kind}NoiseAttack", often
    summary = "Uniform noise within epsilon"
    yield "LinfAdditiveUniformNoiseAttack", _fixed("linf", f"{summary}, drawn once", FOOLBOX, "decision-based")
    often = _fixed("linf", f"{summary}, drawn until it succeeds", FOOLBOX, "decision-based")
    yield "LinfRepeatedAdditiveUniformNoiseAttack", often


def _others() -> Iterator[tuple[str, Entry]]:
    yield "SparseL1DescentAttack", _fixed("l1", "Sparse L1 descent along the largest gradients", SLIDE, targeted=True)
    yield (
        "VirtualAdversarialAttack",
        _fixed("l2", "Virtual adversarial direction: largest change of the answers", VAT, defaults={"steps": 10}),
    )
    yield (
        "L2ContrastReductionAttack",
        _fixed("l2", "Less contrast, as far as epsilon allows", FOOLBOX, "decision-based"),
    )
    yield "GenAttack", _fixed("linf", "Genetic search from scores; needs targets", GEN, "score-based", targeted=True)
    yield "L2CarliniWagnerAttack", _least(("l2",), "Carlini and Wagner's L2 attack", CW, targeted=True)
    yield "EADAttack", _least(("l1",), "Elastic-net attack", EAD, targeted=True)
    yield "DDNAttack", _least(("l2",), "Decoupled direction and norm", DDN, targeted=True)
    yield "NewtonFoolAttack", _least(("l2",), "NewtonFool: steps that lower the confidence", NEWTON)
    yield "L2DeepFoolAttack", _least(("l2",), "DeepFool under L2", DEEPFOOL)
    yield "LinfDeepFoolAttack", _least(("linf",), "DeepFool under Linf", DEEPFOOL)
    decisions: Mapping[str, tuple[tuple[str, ...], str, str]] = {
        "BoundaryAttack": (("l2",), "Random walk along the decision boundary", BOUNDARY),
        "HopSkipJumpAttack": (("l2",), "Walk along the boundary by estimated normals", HOPSKIPJUMP),
        "HopSkipJump": (("l2",), "Walk along the boundary by estimated normals", HOPSKIPJUMP),
        "PointwiseAttack": (EVERY_NORM, "Gives pixels back one by one", POINTWISE),
        "InversionAttack": (EVERY_NORM, "The negative of the image", NEGATIVES),
        "BinarizationRefinementAttack": (EVERY_NORM, "Refines given starts against binarised inputs", FOOLBOX),
        "BinarySearchContrastReductionAttack": (EVERY_NORM, "Least loss of contrast, by bisection", FOOLBOX),
        "LinearSearchContrastReductionAttack": (EVERY_NORM, "Least loss of contrast, by small steps", FOOLBOX),
        "GaussianBlurAttack": (EVERY_NORM, "Least Gaussian blur", FOOLBOX),
        "SaltAndPepperNoiseAttack": (("l2",), "Least salt-and-pepper noise", FOOLBOX),
        "LinearSearchBlendedUniformNoiseAttack": (EVERY_NORM, "Blends with uniform noise", FOOLBOX),
    }
    for name, (norms, summary, reference) in decisions.items():
        yield name, _least(norms, summary, reference, "decision-based")


CATALOGUE = Catalogue(
    library="foolbox",
    title="Foolbox",
    prefix="foolbox",
    package="foolbox.attacks",
    factory="advplug_attack_foolbox._attacks",
    entries={**dict(_in_each_norm()), **dict(_noise()), **dict(_others())},
    left_out=LEFT_OUT,
)
