"""``advplug break CASE``: the weak evaluation beside the adaptive attack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from advplug.cli import _evaluation
from advplug.cli._device import usable_device
from advplug.cli._options import Options, shared_options
from advplug.cli._order import Order
from advplug.cli._paths import UserPath
from advplug.cli._presets import chosen, preset_option
from advplug.plugins.manager import default_manager

if TYPE_CHECKING:
    from advplug.evaluation import Job


@click.command("break")
@click.argument("case")
@preset_option
@click.option("--data", type=UserPath(), help="File or folder of inputs, as for evaluate, instead of the preset's.")
@click.option("--weights", type=UserPath(), help="Weights instead of the shipped ones, .safetensors.")
@click.option("--attack", "attacks", multiple=True, metavar="NAME", help="Another attack at its defaults; repeatable.")
@shared_options
@click.pass_context
def command(
    ctx: click.Context,
    *,
    case: str,
    preset: str | None,
    data: Path | None,
    weights: Path | None,
    attacks: tuple[str, ...],
    options: Options,
) -> None:
    """Run the case study CASE, NAME[:PRESET]: its authors' weak evaluation, then the adaptive attack.

    Exit code 1 says that it breaks nothing. A run that was interrupted goes on where it stopped. Smaller budgets cost
    about one run of every attack each.
    """
    found = chosen(case, preset, "adaptive")
    order = Order.of(
        "break",
        options,
        case=found.name,
        preset=found.preset,
        data=data,
        weights=weights,
        attacks=attacks,
    )
    evaluation = _evaluation.carry_out(order, options, default_manager())
    ctx.exit(0 if evaluation is None or evaluation.broken else 1)


def job_of(
    *,
    case: str,
    preset: str | None,
    data: str | None,
    weights: str | None,
    attacks: Sequence[str],
    limit: int,
    seed: int,
    device: str,
    batch_size: int | None,
) -> Job:
    """The job that the command names; the parameters are its options."""
    from advplug.adaptive import Recipe
    from advplug.cli._data import say
    from advplug.evaluation import case_job
    from advplug.intake.user_images import in_drawn_order, read_images

    manager, most = default_manager(), limit or None
    extra = [
        Recipe(
            name=name,
            attack=manager.load(f"attack:{name}")(),
            role="intermediate",
            library=getattr(manager.find(f"attack:{name}"), "library", "") or "advplug",
        )
        for name in attacks
    ]
    job = case_job(
        case,
        preset=preset,
        limit=most,
        seed=seed,
        device=usable_device(device),
        images=None if data is None else in_drawn_order(read_images(Path(data), warn=say), most, seed),
        weights=None if weights is None else Path(weights),
        extra=extra,
        batch_size=batch_size,
        manager=manager,
    )
    return _evaluation.with_plugins(job, *(f"attack:{name}" for name in attacks))
