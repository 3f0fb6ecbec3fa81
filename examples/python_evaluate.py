"""Train a small network on digits, evaluate it, and see which digits fell to which attack.

usage: python examples/python_evaluate.py
needs: pip install advplug-attack-standard advplug-data-mnist
"""

# --8<-- [start:evaluate]
import torch

import advplug

torch.manual_seed(0)
digits = advplug.load("data:mnist")().load("shipped", limit=2000)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
optimizer = torch.optim.Adam(net.parameters(), lr=0.002)
for _ in range(5):
    for images, labels in digits[50:].batches(64):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
net.eval()

x, y = digits.inputs[:50], digits.labels[:50]  # any tensors or arrays; an advplug.Images; a file
evaluation = advplug.evaluate(net, (x, y), "linf:0.03", attacks=["pgd", "standard"])
print(f"clean {evaluation.clean_accuracy:.0%}, under the worst attack for each digit {evaluation.robust_accuracy:.0%}")
print("broken by", *sorted(set(evaluation.broken_by) - {""}))
# --8<-- [end:evaluate]
