"""``advplug evaluate MODEL``: attacks on a user's own model, or on a defense plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from advplug.cli import _evaluation, _model, _recipes, _several
from advplug.cli._device import usable_device
from advplug.cli._options import Options, shared_options
from advplug.cli._order import Order
from advplug.cli._paths import UserPath
from advplug.cli._presets import preset_option, with_preset
from advplug.cli._usual import Usual, usual
from advplug.errors import InvalidInput
from advplug.plugins.manager import default_manager

if TYPE_CHECKING:
    from advplug.evaluation import Job


def _defaults(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        from advplug.cli import _config  # pydantic, which nothing else needs

        ctx.default_map = {**(ctx.default_map or {}), **_config.read(path)}
    return path


@click.command("evaluate")
@click.argument("models", metavar="MODEL...", nargs=-1)
@preset_option
@click.option("--config", type=UserPath(), is_eager=True, expose_value=False, callback=_defaults,
              help="TOML file with any of these options but --fresh, --json and --config.")  # fmt: skip
@click.option(
    "--data",
    help="A file (.npz, .pt, .safetensors), a folder of images or of a saved dataset, package.module:NAME of a Dataset "
    "or DataLoader, or a data plugin as NAME[:SPLIT].",
)
@click.option(
    "--threat",
    help="norm:epsilon in the units of the input: linf:8/255, l2:0.5; l2:min for the least distance; linf:FILE.npy for "
    "a budget of each value. Several with commas between.",
)
@click.option(
    "--attacks",
    help="Attack plugins, with commas between. If absent, standard, and then what a search finds for the model (auto).",
)
@click.option(
    "--time-budget",
    metavar="2x|SECONDS",
    help="Without --attacks: how long standard and the search may take together, as a multiple of standard, 2x if "
    "absent; or seconds, which give other figures on other machines.",
)
@click.option(
    "--losses",
    "--loss",
    help="With commas between, as in margin,0.5*margin+10*detector-score; advplug show losses lists them. Each "
    "attack's own if absent.",
)
@click.option(
    "--gradients",
    "--gradient",
    help="With commas between, as in exact,eot:10 of bpda; advplug show gradients lists them. Exact if absent.",
)
@click.option(
    "--criterion",
    help="What counts as a success, as in misclassified or targeted & mine:Wrong; advplug show criteria lists them. If "
    "absent, the goal of the threat model, past the detector.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="ATTACK.NAME=VALUE", help="An attack's parameter; repeatable."
)
@click.option("--restarts", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--targets", help="each: aim at every other class in turn; N: at the N likeliest.")
@click.option("--auxiliary", help="Images of the attacker's own, as in --data; else what --limit leaves of the data.")
@click.option(
    "--bounds",
    help="Valid range of inputs, 0,1 if absent: pixels are rescaled to it, floating-point arrays must lie in it. Or "
    "FILE.npz with arrays lower and upper of the shape of one input.",
)
@click.option(
    "--mask",
    help="A file that is not zero where a value may change, for all inputs or with one row for each: .npy, .npz with "
    "mask, or an image.",
)
@click.option(
    "--surrogate", help="package.module:callable, a differentiable stand-in for the model, for --gradients bpda."
)
@click.option("--output", help="Entry with the scores where the model answers with several, by name or number.")
@shared_options
def command(
    *,
    models: tuple[str, ...],
    preset: str | None,
    data: str | None,
    threat: str | None,
    attacks: str | None,
    time_budget: str | None,
    losses: str | None,
    gradients: str | None,
    criterion: str | None,
    settings: tuple[str, ...],
    restarts: int,
    targets: str | None,
    auxiliary: str | None,
    bounds: str | None,
    mask: str | None,
    surrogate: str | None,
    output: str | None,
    options: Options,
) -> None:
    """Attack MODEL: package.module:callable, a torch module, a function of inputs, or what returns one of them.

    Or a defense plugin, NAME[:PRESET]; or a model of another library with its preprocessing, timm:NAME or hf:FOLDER.

    With several models or threat models, each model is attacked under each of them, and one table says how they
    compare.
    """
    manager = default_manager()
    models = models or tuple((click.get_current_context().default_map or {}).get("models", ()))  # as --config has them
    if not models:
        raise click.UsageError("Missing argument 'MODEL...'.")

    def order_of(model: str, threat: str | None, chosen: Usual) -> Order:
        return Order.of(
            "evaluate",
            options,
            model=model,
            data=data,
            threat=threat,
            attacks=chosen.attacks,
            losses=chosen.losses,
            gradients=gradients,
            criterion=criterion,
            settings=(*chosen.settings, *settings),
            restarts=restarts,
            targets=targets,
            auxiliary=auxiliary,
            bounds=bounds,
            mask=mask,
            surrogate=surrogate,
            output=output,
        )

    def chosen_for(model: str, threat: str | None) -> Usual:
        if attacks is None:
            return usual(time_budget, losses, threat, lambda once: order_of(model, threat, once)(), manager)
        if time_budget is not None:
            raise InvalidInput("--time-budget is for runs without --attacks: leave one of them out")
        return Usual(attacks, losses)

    threats = [None] if threat is None else _list(threat)
    pairs = [(with_preset(model, preset, manager), one) for model in models for one in threats]
    orders = [order_of(*pair, chosen_for(*pair)) for pair in pairs]
    if len(orders) == 1:
        _evaluation.carry_out(orders[0], options, manager)
    else:
        _several.carry_out(orders, options, manager)


def job_of(
    *,
    attacks: str,
    losses: str | None,
    gradients: str | None,
    settings: Sequence[str],
    restarts: int,
    targets: str | None,
    surrogate: str | None,
    limit: int,
    seed: int,
    device: str,
    batch_size: int | None,
    criterion: str | None = None,
    **source: Any,
) -> Job:
    """The job that the command names; the parameters are its options."""
    from advplug.spelling.grammar import split

    manager = default_manager()
    names = _list(attacks)
    chosen = None if losses is None else split(losses)
    recipes = _recipes.read_recipes(
        names, chosen, settings=settings, restarts=restarts, targets=_recipes.read_targets(targets), manager=manager
    )
    estimators = None if gradients is None else _recipes.read_gradients(split(gradients))
    if surrogate is not None and not _recipes.takes_surrogate(estimators or ()):
        raise InvalidInput("--surrogate is what --gradients bpda takes gradients from: add bpda to --gradients")
    asked = _model.Source(**source, surrogate=surrogate, limit=limit or None, seed=seed)
    job = _model.read_job(asked, recipes, device=usable_device(device), manager=manager)
    job = replace(job, seed=seed, batch_size=batch_size)
    if estimators is not None:
        job = _recipes.with_gradients(job, estimators)
    if criterion is not None:
        job = _recipes.with_criterion(job, criterion)
    return _evaluation.with_plugins(job, *(f"attack:{name}" for name in names))


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
