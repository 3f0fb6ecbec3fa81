"""``advplug train DEFENSE``: the weights that a preset ships, made again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from advplug.cli import _console
from advplug.cli._counts import check_seed
from advplug.cli._device import usable_device
from advplug.cli._interrupts import interruptible
from advplug.cli._paths import UserPath, refuse_empty
from advplug.cli._presets import chosen, first_preset, preset_option
from advplug.cli._progress import progress
from advplug.errors import InvalidInput
from advplug.plugins.manager import default_manager
from advplug.records.files import replace_file

if TYPE_CHECKING:
    from torch import nn

    from advplug.data import Dataset, Images
    from advplug.defense import Defense


@click.command("train")
@click.argument("defense")
@preset_option
@click.option("--seed", default=0, show_default=True, help="Seed of initial weights and batch order.")
@click.option("--data", help="Data plugin as NAME[:SPLIT], .npz file or folder of images, instead of the preset's.")
@click.option("--out", type=UserPath(), help="Weights file, .safetensors; a .json record goes beside.")
@click.option("--device", default="cpu", show_default=True, help="Torch device to train on.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the training, such as epochs=2, or of its adversary, such as adversary_steps=10; repeatable.",
)
@_console.json_option
def command(
    *,
    defense: str,
    preset: str | None,
    seed: int,
    data: str | None,
    out: Path | None,
    device: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a preset of DEFENSE, NAME[:PRESET], and write its weights.

    Each epoch is kept beside the weights until they are written: after an interruption the same command goes on.
    """
    check_seed(seed)
    refuse_empty(data=data)
    manager = default_manager()
    key, preset = chosen(defense, preset, "defense")
    plugin = manager.load(key)()
    preset = preset or first_preset(plugin)
    configuration = plugin.preset(preset)
    plugin = _with_settings(plugin, preset, settings)
    path = _target(out or Path(f"{key.rpartition(':')[2]}-{preset}-seed{seed}.safetensors"))
    images = _images(data or f"data:{configuration.data}", configuration.train_split)
    if data is not None:
        _check_form(images, data, configuration.data)
    target = usable_device(device)

    from advplug.training import checkpoints

    metrics: dict[str, float] = {}
    start = perf_counter()
    kept = path.with_name(f"{path.name}.epochs")
    with checkpoints(kept):
        with interruptible(lambda: _left_behind(path, kept)), progress(f"{key.rpartition(':')[2]} {preset}") as step:

            def report(epoch: int, epochs: int, values: Mapping[str, float]) -> None:
                metrics.update({name: float(value) for name, value in values.items()})
                step(epoch, epochs, values)

            model = plugin.train(preset, images, seed=seed, device=target, on_epoch=report)
        source = manager.provenance(key)
        record = {
            "defense": key,
            "preset": preset,
            "seed": seed,
            "data": images.name,
            "images": len(images),
            "device": device,
            "settings": list(settings),
            "command": ["advplug", *sys.argv[1:]],
            "versions": _versions(source.distribution, source.version),
            "seconds": round(perf_counter() - start, 3),
            "metrics": metrics,
        }
        _write(path, plugin.trained_part(preset, model), record)
    if as_json:
        _console.print_json({**record, "weights": str(path), "record": str(path.with_suffix(".json"))})
    else:
        click.echo(path)


def _left_behind(path: Path, kept: Path) -> str:
    if any(kept.glob("*")):
        return f"the epochs so far are kept in {kept}: the same command goes on from there"
    return f"{path} was not written, and no epoch is kept: the same command trains from the start"


def _with_settings(plugin: Defense, preset: str, texts: Sequence[str]) -> Defense:
    """``plugin`` with what ``--set NAME=VALUE`` changes of its training."""
    from advplug.spelling.values import literal
    from advplug.training import ConfiguredDefense

    if not texts:
        return plugin
    if not isinstance(plugin, ConfiguredDefense):
        raise InvalidInput(f"--set {texts[0]}: {type(plugin).__name__} has a training of its own, without settings")
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"--set {text}: write NAME=VALUE, such as epochs=2")
        values[name.strip()] = literal(value.strip())
    try:
        return plugin.trained_with(preset, **values)
    except (InvalidInput, TypeError) as error:
        raise InvalidInput(f"--set: {error}") from error


def _target(path: Path) -> Path:
    """Refuse a file that could not be written, before the training rather than after it."""
    if path.suffix != ".safetensors":
        raise InvalidInput(f"--out {path}: the weights file must end in .safetensors")
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"--out {path}: the folder {path.parent} does not exist, or the file is a folder")
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(f"--out {path}: no permission to write in {path.parent}")
    record = path.with_suffix(".json")
    if record.exists() and not _is_record(record):
        raise InvalidInput(f"--out {path}: the record beside it would replace {record}, which is no record: rename one")
    return path


def _is_record(path: Path) -> bool:
    """Whether ``path`` is a record of this command."""
    try:
        return {"defense", "preset", "versions"} <= set(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _images(name: str, split: str) -> Images:
    """The training images: a file or folder of the user, otherwise a data plugin's."""
    from advplug.cli._data import names_a_file, say
    from advplug.intake.user_images import read_images
    from advplug.intake.value_range import in_range

    if names_a_file(name, default_manager()):
        return in_range(read_images(Path(name), warn=say), (0.0, 1.0), name)
    plugin, _, own = name.removeprefix("data:").partition(":")
    dataset: Dataset = default_manager().load(f"data:{plugin}")()
    return dataset.load(own or split)


def _check_form(images: Images, name: str, expected: str) -> None:
    """Refuse images of another shape than those of the data plugin ``expected``, or of a class that it has not."""
    dataset: Dataset = default_manager().load(f"data:{expected}")()
    shape, classes = tuple(images.inputs.shape[1:]), len(dataset.class_names)
    if dataset.shape is not None and shape != tuple(dataset.shape):
        raise InvalidInput(
            f"--data {name}: images of shape {shape}, the preset takes {tuple(dataset.shape)}: resize them"
        )
    if classes and not images.transcribed and int(images.labels.max()) >= classes:
        label = int(images.labels.max())
        raise InvalidInput(
            f"--data {name}: the label {label}, the preset has classes 0 to {classes - 1}: number them so"
        )


def _versions(distribution: str, version: str) -> dict[str, str]:
    import torch

    import advplug

    return {"advplug": advplug.__version__, "torch": str(torch.__version__), distribution: version}


def _write(path: Path, model: nn.Module, record: Mapping[str, Any]) -> None:
    """Write weights and record; an interrupted or failed write leaves an earlier pair of files as it was."""
    from safetensors.torch import save_file

    # Copies: safetensors refuses tensors that share memory.
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    text = json.dumps(record, indent=2, allow_nan=True) + "\n"
    replace_file(path, lambda temporary: save_file(state, temporary))
    replace_file(path.with_suffix(".json"), lambda temporary: temporary.write_text(text, encoding="ascii"))
