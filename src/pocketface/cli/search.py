"""`pocketface search`: cells for a PocketNet from one's own faces, and the network trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pocketface.cli.key_values import key_values

if TYPE_CHECKING:
    from pocketface.search.config import SearchConfig
    from pocketface.search.outcome import Summary

_BUDGET = "Budget of the network"
_TRAINING = "Training afterwards"


def search(
    faces: Annotated[
        list[Path], typer.Argument(help="Faces: folders with a folder per person, or .rec.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The search's folder.")],
    preset: Annotated[
        str, typer.Option("--preset", help="paper: PocketNet's search. small: ours, for two cores.")
    ] = "small",
    people: Annotated[
        Path | None,
        typer.Option("--people", help="Use these people of the folders only: JSON list, or lines."),
    ] = None,
    order: Annotated[
        Literal["first", "second"] | None,
        typer.Option("--order", help="Of DARTS: second looks ahead by a step, first is quicker."),
    ] = None,
    head: Annotated[
        Literal["softmax", "arcface", "cosface"] | None,
        typer.Option("--head", help="What the weights learn by; the paper's is softmax."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1)] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=2)] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any key of the search: --set collapse.stop=skips"),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Of the network that the cells are for. [the preset's]",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    max_params: Annotated[
        int | None, typer.Option("--max-params", min=1, rich_help_panel=_BUDGET)
    ] = None,
    max_macs: Annotated[
        int | None, typer.Option("--max-macs", min=1, rich_help_panel=_BUDGET)
    ] = None,
    max_latency_ms: Annotated[
        tuple[float, Path] | None,
        typer.Option(
            "--max-latency-ms",
            metavar="MS DEVICE.json",
            help="By a table from pocketface profile --primitives.",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            help="Go on to train the found network, in this folder.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    train_epochs: Annotated[
        int | None, typer.Option("--train-epochs", min=1, rich_help_panel=_TRAINING)
    ] = None,
    train_set: Annotated[
        list[str] | None,
        typer.Option("--train-set", help="Any key of the recipe.", rich_help_panel=_TRAINING),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Go on from this one, not from last.ckpt.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, mps")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of torch.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search the cells of a PocketNet on faces (DARTS), within a budget, and draw them.

    Ctrl-C saves the search; --resume goes on, with --train also with the training.
    """
    from pocketface.search.config import make_config
    from pocketface.search.launch import carry_out

    limit, table = max_latency_ms or (None, None)
    given: dict[str, Any] = {
        "data.train": [str(path) for path in faces],
        "data.people": None if people is None else str(people),
        "architecture.order": order,
        "head.kind": None if head == "softmax" else head,
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "recipe": recipe,
        "budget.max_params": max_params,
        "budget.max_macs": max_macs,
        "budget.max_latency_ms": limit,
        "budget.latencies": None if table is None else str(table),
    }
    changes = {key: value for key, value in given.items() if value is not None}
    config = make_config(preset, changes | key_values(change or []))
    going_on = resume or checkpoint is not None
    how: dict[str, Any] = {"device": device, "threads": threads, "quiet": quiet or as_json}
    settings = _training_settings(train, train_epochs, train_set or [])
    if train is not None:
        _check_training(config, settings, train, going_on)
    summary = carry_out(config, out, resume=going_on, checkpoint=checkpoint, **how)
    if not as_json:
        _print(summary, trained=train is not None)
    answer: dict[str, Any] = {"search": summary.model_dump(mode="json")}
    if train is not None:
        answer["training"] = _train(config, settings, summary, train, going_on, how)
    if as_json:
        import json

        typer.echo(json.dumps(answer))
    elif train is not None:
        typer.echo(f"wrote {train}/last.safetensors, its card, metrics.jsonl, figures/training.png")
        typer.echo(f"next: pocketface evaluate {train}/last.safetensors PAIRS")


def _training_settings(
    train: Path | None, epochs: int | None, changes: list[str]
) -> dict[str, Any]:
    """The recipe's values for the training afterwards, by dotted key."""
    from pocketface.errors import RecipeError

    if train is None and (epochs is not None or changes):
        raise RecipeError("--train-epochs and --train-set need --train FOLDER.")
    settings = {} if epochs is None else {"epochs": epochs}
    return settings | key_values(changes, "--train-set")


def _check_training(
    config: "SearchConfig", settings: dict[str, Any], run: Path, going_on: bool
) -> None:
    """Raise now what would be raised after the search."""
    from pocketface.search.train_found import found_recipe
    from pocketface.train.run import refuse_existing

    found_recipe(config, settings)
    if not going_on:
        refuse_existing(run)


def _train(
    config: "SearchConfig",
    settings: dict[str, Any],
    summary: "Summary",
    run: Path,
    going_on: bool,
    how: dict[str, Any],
) -> dict[str, Any]:
    """Train the found network in `run`, or go on with that; gives what `--json` says of it."""
    from pocketface.models.genotype import Genotype
    from pocketface.search.train_found import found_recipe
    from pocketface.train import carry_out
    from pocketface.train.checkpoint import LINK

    recipe = found_recipe(config, settings, Genotype.from_dict(summary.genotype))
    begun = going_on and (run / LINK).exists()
    result = carry_out(recipe, run, resume=begun, **how)
    assert result is not None  # there is one process
    return {
        "run": str(run),
        "weights": str(run / "last.safetensors"),
        "steps": result.position.step,
        "seconds": result.position.seconds,
        "validation": result.validation,
    }


def _print(summary: "Summary", *, trained: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _lines(summary):
        table.add_row(name, value)
    console = Console()
    console.print(table, highlight=False)
    run = summary.run
    typer.echo(
        f"wrote {run}/genotype.json, cells.png, film_strip.png, curves.png, summary.json, "
        "alphas.npz, metrics.jsonl"
    )
    if not trained:
        typer.echo(f"next: {summary.next}")


def _lines(summary: "Summary") -> list[tuple[str, str]]:
    epoch = f"{summary.epoch} of {summary.epochs}"
    if summary.kept < summary.epochs:
        epoch += f"; after epoch {summary.kept} the cells collapsed"
    lines = [
        ("cells from epoch", epoch),
        (
            "top-1 there",
            f"{summary.top1_architecture:.1%} on the architecture's half, "
            f"{summary.top1_weights:.1%} on the weights' half (chance {summary.chance:.1%})",
        ),
        ("architecture steps", f"{summary.architecture_steps:,} in {summary.seconds / 60:.1f} min"),
        ("skips, pools", f"{summary.skips} and {summary.pools} of 16 edges"),
        (
            "network",
            f"{summary.recipe}: {summary.channels} channels, {summary.cells} cells, "
            f"{summary.image_size} px, {summary.embedding_size}-D",
        ),
        ("parameters", _within(summary.parameters, summary.max_params)),
        ("multiply-accumulates", _within(summary.macs, summary.max_macs)),
    ]
    if summary.milliseconds is not None:
        lines.append(("ms by the table", _within(summary.milliseconds, summary.max_latency_ms)))
    if not summary.strongest:
        lines.append(("budget", "the strongest cells exceed it; these are the best within it"))
    return lines


def _within(value: float, limit: float | None) -> str:
    digits = ",.3f" if isinstance(value, float) else ","
    return f"{value:{digits}}" + ("" if limit is None else f" (at most {limit:{digits}})")
