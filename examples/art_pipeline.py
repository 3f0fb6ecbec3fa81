"""advplug in an ART pipeline: classifiers, arrays, preprocessor, adversarial training, detector, random defense.

usage: python examples/art_pipeline.py
needs: pip install "advplug[art]" advplug-attack-pgd advplug-attack-square advplug-data-mnist
"""

# --8<-- [start:classifier]
import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

from advplug import ThreatModel, load
from advplug.interop.art import as_art_attack

torch.manual_seed(0)
np.random.seed(0)  # ART shuffles with numpy's global generator
digits = load("data:mnist")().load("shipped", limit=3200)
x, y = digits.inputs.numpy(), digits.labels.numpy()
(x_test, x_train), (y_test, y_train) = np.split(x, [200]), np.split(y, [200])
threat = ThreatModel("linf", 0.1)


def make_classifier(classes=10, **options):
    """Return an untrained ART classifier for digits."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 12 * 12, classes),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.002)
    loss = torch.nn.CrossEntropyLoss()
    return PyTorchClassifier(net, loss, (1, 28, 28), classes, optimizer, clip_values=(0.0, 1.0), **options)


def accuracy(classifier, inputs):
    """Return the share of test digits that the classifier gets right, as ART users compute it."""
    return float((classifier.predict(inputs).argmax(1) == y_test).mean())


classifier = make_classifier()
classifier.fit(x_train, y_train, batch_size=64, nb_epochs=3)

PGD = load("attack:pgd")
ours = as_art_attack(PGD(steps=20), classifier, threat=threat)
arts = ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.0125, max_iter=20, verbose=False)
print(f"classifier     clean {accuracy(classifier, x_test):.1%}")
print(f"  ART PGD            {accuracy(classifier, arts.generate(x_test, y_test)):.1%}")
print(f"  advplug PGD        {accuracy(classifier, ours.generate(x_test, y_test)):.1%}")
# --8<-- [end:classifier]

# --8<-- [start:preprocessor]
from art.defences.preprocessor import SpatialSmoothing  # noqa: E402

squeezed = make_classifier(preprocessing_defences=[SpatialSmoothing(window_size=3)])
squeezed.model.load_state_dict(classifier.model.state_dict())

attack = as_art_attack(PGD(steps=20), squeezed, threat=threat)  # includes the preprocessor
print(f"preprocessor   clean {accuracy(squeezed, x_test):.1%}")
print(f"  advplug PGD        {accuracy(squeezed, attack.generate(x_test, y_test)):.1%}")
# --8<-- [end:preprocessor]

# --8<-- [start:trainer]
from art.defences.trainer import AdversarialTrainer  # noqa: E402

robust = make_classifier()
worst = as_art_attack(PGD(steps=5), robust, threat=threat, worst_case=True)
AdversarialTrainer(robust, worst, ratio=1.0).fit(x_train, y_train, batch_size=64, nb_epochs=3)

attack = as_art_attack(PGD(steps=20), robust, threat=threat)
print(f"trained        clean {accuracy(robust, x_test):.1%}")
print(f"  advplug PGD        {accuracy(robust, attack.generate(x_test, y_test)):.1%}")
# --8<-- [end:trainer]

# --8<-- [start:detector]
from art.defences.detector.evasion import BinaryInputDetector  # noqa: E402

from advplug import run  # noqa: E402
from advplug.interop.art import from_art_classifier, from_art_detector  # noqa: E402

detector = BinaryInputDetector(make_classifier(classes=2))
adversarials = ours.generate(x_train[:500], y_train[:500])
detector.fit(
    np.concatenate((x_train[:500], adversarials)), np.eye(2)[[0] * 500 + [1] * 500], batch_size=64, nb_epochs=10
)
_, flagged = detector.detect(x_test)
_, caught = detector.detect(ours.generate(x_test, y_test))
print(f"detector       flags {flagged.mean():.1%} of the clean digits, {caught.mean():.1%} of the attacked ones")

# A success must now also be accepted by the detector. The loss of this attack does not contain the detector.
model = from_art_detector(from_art_classifier(classifier), detector)
inputs, labels = torch.tensor(x_test), torch.tensor(y_test)
result = run(PGD(steps=40), model, inputs, labels, threat)
print(f"  right and accepted {result.clean_accuracy:.1%} before the attack, {result.robust_accuracy:.1%} under PGD")
# --8<-- [end:detector]

# --8<-- [start:loss]
import eagerpy as ep  # noqa: E402

from advplug.losses import Loss, Margin, View  # noqa: E402


class PastTheDetector(Loss):
    """The sum of two margins, of the classifier and of the detector's network, each cut off at -1."""

    def __call__(self, view: View) -> ep.Tensor:
        scores = ep.astensor(detector.detector.model(view.x.raw))
        alarm = scores[:, 1] - scores[:, 0]
        return Margin(confidence=1)(view) + ep.maximum(alarm, -1)


# The loss of this attack contains the detector.
result = run(PGD(steps=40), model, inputs, labels, threat, loss=PastTheDetector())
print(f"                     {result.robust_accuracy:.1%} under PGD with the detector in its loss")
# --8<-- [end:loss]

# --8<-- [start:random]
from advplug.interop.art import as_art_classifier, as_art_detector  # noqa: E402
from advplug.model import Decision, PlainModel  # noqa: E402


class Wary(PlainModel):
    """Classifies a noisy copy of the input; rejects the input if a second noisy copy gets another class."""

    stochastic = True

    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x))

    def decide(self, x):
        answers = self(x).argmax(1)
        return Decision(answers, self(x).argmax(1) == answers)


wary = Wary(classifier.model, num_classes=10).eval()
victim = as_art_classifier(wary, (1, 28, 28))
arts = ProjectedGradientDescent(victim, eps=0.1, eps_step=0.0125, max_iter=20, verbose=False)
found = arts.generate(x_test, y_test)
answers = [as_art_detector(wary).detect(found) for _ in range(10)]
fooled = np.mean([(report["predictions"] != y_test) & ~flagged for report, flagged in answers])
print(f"random model   {1 - accuracy(victim, found):.1%} wrong under ART PGD, as ART counts it")
print(f"               {fooled:.1%} wrong and accepted, over 10 decisions")
# --8<-- [end:random]

# --8<-- [start:arrays]
upper_half = np.arange(28)[:, None] < 14  # broadcasts to the inputs
print(
    f"upper half     {accuracy(classifier, ours.generate(x_test, y_test, mask=upper_half)):.1%} under PGD in it alone"
)

ours.set_params(eps=np.where(upper_half, 0.2, 0.1))  # a budget for each value
print(f"               {accuracy(classifier, ours.generate(x_test, y_test)):.1%} with twice the budget in it")
# --8<-- [end:arrays]

# --8<-- [start:black-box]
from art.estimators.classification import BlackBoxClassifier  # noqa: E402

service = BlackBoxClassifier(classifier.predict, (1, 28, 28), 10, clip_values=(0.0, 1.0))
square = as_art_attack(load("attack:square")(queries=200), service, threat=threat)
print(f"black box      {accuracy(service, square.generate(x_test, y_test)):.1%} under Square")
# --8<-- [end:black-box]
