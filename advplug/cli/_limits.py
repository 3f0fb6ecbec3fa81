"""What the attacker may do, as a user writes it: ``--threat``, ``--bounds`` and ``--mask``, as numbers or as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from advplug.cli._counts import LARGEST
from advplug.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from advplug.data import Images
    from advplug.intake.value_range import Bounds
    from advplug.threat import Norm, ThreatModel

UNIT: Bounds = (0.0, 1.0)


def read_bounds(text: str | None) -> Bounds:
    """``low,high``, or an .npz file with arrays ``lower`` and ``upper``; [0, 1] for None.

    Raises
    ------
    InvalidInput: anything else; arrays of different shapes, or with NaN.
    """
    if text is None:
        return UNIT
    if text.endswith(".npz"):
        return _bounds_in(Path(text))
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        remedy = "write two numbers with a comma between, such as --bounds=-1,1, or name an .npz file"
        raise InvalidInput(f"--bounds {text}: {remedy}") from None
    if not low < high:
        raise InvalidInput(f"--bounds {text}: give the lower bound first")
    _check_size(f"--bounds {text}", low, high, high - low)
    return low, high


def _check_size(option: str, *values: float) -> None:
    """Refuse what float32 does not hold, or not squared: it would overflow, perhaps when all attacks are done."""
    largest = max(abs(value) for value in values)
    if not largest <= LARGEST:
        raise InvalidInput(f"{option}: {largest:.6g} is too large for float32: rescale the inputs")


def _bounds_in(path: Path) -> Bounds:
    from advplug.intake.archives import read_archive

    found, present = read_archive(path, "lower", "upper")
    if len(found) < 2:
        raise InvalidInput(f"--bounds {path}: give arrays lower and upper (it has {present})")
    lower, upper = (_numbers(f"--bounds {path}: {name}", found[name]) for name in ("lower", "upper"))
    if lower.shape != upper.shape:
        shapes = f"{lower.shape} and {upper.shape}"
        raise InvalidInput(f"--bounds {path}: lower and upper have shapes {shapes}: give both that of one input")
    if (lower > upper).any() or not (lower < upper).any():
        raise InvalidInput(f"--bounds {path}: lower is above upper, or nowhere below it: swap them")
    _check_size(f"--bounds {path}", float(lower.min()), float(upper.max()), float((upper - lower).max()))
    return lower, upper


def read_threat(text: str, bounds: Bounds) -> ThreatModel:
    """``norm:epsilon``, or ``linf:FILE.npy`` with a budget for each value, within ``bounds``.

    Raises
    ------
    InvalidInput: another form, or a budget that is wider than the bounds.
    """
    from advplug.intake.value_range import span
    from advplug.threat import ThreatModel

    low, high = span(bounds)
    norm, _, budget = text.partition(":")
    if budget.endswith(".npy"):
        budgets: Any = _array(f"--threat {text}", Path(budget))
        threat = ThreatModel(cast("Norm", norm), budgets, (low, high))
        if threat.budget > high - low:
            raise InvalidInput(f"--threat {text}: the budget {threat.budget:.6g} is wider than [{low:.6g}, {high:.6g}]")
    else:
        threat = ThreatModel.parse(text, bounds=(low, high))
    if threat.epsilon is not None:
        _check_size(f"--threat {text}", threat.epsilon)
    return within(threat, bounds)


def bounds_of(threat: ThreatModel) -> Bounds:
    """The bounds of ``threat``: two numbers, or two arrays where each value has its own."""
    if threat.lower_bounds is None or threat.upper_bounds is None:
        return threat.bounds
    return threat.lower_bounds.array, threat.upper_bounds.array


def within(threat: ThreatModel, bounds: Bounds) -> ThreatModel:
    """``threat`` within other bounds."""
    return replace(threat, bounds=cast("tuple[float, float]", bounds))


def read_mask(text: str) -> NDArray[np.bool_]:
    """True where the file is not zero: .npy, .npz with ``mask``, or an image, which gives (H, W).

    Raises
    ------
    InvalidInput: another file, NaN, or zeros alone.
    """
    import numpy as np

    from advplug.intake.archives import read_archive
    from advplug.intake.pictures import SUFFIXES, read_picture

    path, option = Path(text), f"--mask {text}"
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise InvalidInput(f"{option}: JPEG changes zeros: save the mask as .png")
    if path.suffix.lower() in SUFFIXES:
        values = read_picture(path).max(axis=-1)
    elif path.suffix == ".npz":
        found, present = read_archive(path, "mask")
        if not found:
            raise InvalidInput(f"{option}: it has no array mask, but {present}")
        values = _numbers(option, found["mask"])
    else:
        values = _array(option, path)
    if not values.any():
        raise InvalidInput(f"{option}: it is zero everywhere, so nothing may change: non-zero is what may")
    return np.asarray(values != 0, bool)


def rows_of(option: str, array: NDArray[Any], images: Images, places: torch.Tensor, total: int) -> Any:
    """``array`` as it fits the samples: of the shape of one input, or the rows of those among ``total`` at ``places``.

    Raises
    ------
    InvalidInput: it fits neither.
    """
    import numpy as np

    shape = tuple(images.inputs.shape[1:])
    if array.ndim <= len(shape) and _broadcasts(array.shape, shape):
        return array
    if array.ndim == len(shape) + 1 and _broadcasts(array.shape[1:], shape):
        if len(array) == total:
            return np.asarray(array[places.numpy()])
        raise InvalidInput(f"{option}: it has {len(array)} rows, the data has {total} samples: give one for each")
    raise InvalidInput(f"{option}: it has shape {array.shape}, an input has {shape}: give that, or a row for each")


def without_room(threat: ThreatModel, images: Images) -> int:
    """How many samples have no value that the attacker may change, by mask and budgets."""
    import numpy as np

    free = np.asarray((threat.epsilon is None) or np.float32(threat.epsilon) > 0)
    for allowed in (threat.mask, threat.shares):
        if allowed is not None:
            free = free & (allowed.array > 0)
    if free.ndim < images.inputs.ndim:
        return 0 if free.any() else len(images)
    found = free.reshape(len(free), -1).any(axis=1)
    return int((~np.broadcast_to(found, len(images))).sum())


def _broadcasts(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    import numpy as np

    try:
        return np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        return False


def _array(option: str, path: Path) -> NDArray[Any]:
    """The numbers in an .npy file."""
    import numpy as np

    if path.suffix != ".npy":
        raise InvalidInput(f"{option}: give an .npy file, or another that --help names")
    from advplug.intake.archives import readable

    with readable(f"{option}: not an .npy file of a plain array"):
        found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        raise InvalidInput(f"{option}: not an .npy file of a plain array")
    return _numbers(option, found)


def _numbers(option: str, array: NDArray[Any]) -> NDArray[Any]:
    """``array`` if it holds finite numbers and has a dimension, as float64."""
    import numpy as np

    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"{option}: it is of type {array.dtype}: give numbers")
    if array.ndim == 0 or array.size == 0:
        raise InvalidInput(f"{option}: it has shape {array.shape}: give the shape of one input")
    if not np.isfinite(array).all():
        raise InvalidInput(f"{option}: it holds NaN or infinite values")
    return array.astype(np.float64)
