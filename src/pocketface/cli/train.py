"""`pocketface train` and `pocketface distill`: a recipe becomes a run."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pocketface.cli.key_values import key_values

Recipe = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", help="Training images: a folder per person, or .rec. Repeatable."),
]
People = Annotated[
    Path | None,
    typer.Option("--people", help="Use these people of the folders only: JSON list, or lines."),
]
Out = Annotated[Path | None, typer.Option("--out", help="The run's folder. [runs/<recipe>]")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
AutoResume = Annotated[
    bool, typer.Option("--auto-resume", help="Go on with the run in --out if there is one.")
]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", help="Go on from this one, not from last.ckpt.")
]
Init = Annotated[
    Path | None, typer.Option("--init", help="Weights to start from: fine-tune on your people.")
]
Cells = Annotated[
    Path | None,
    typer.Option("--genotype", help="Cells of a PocketNet, as pocketface search writes them."),
]
Validate = Annotated[
    list[Path] | None,
    typer.Option("--validate", help="Pair set (.bin or list) to measure on. Repeatable."),
]
Images = Annotated[
    Path | None, typer.Option("--images", help="Folder of the images that pair lists name.")
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1)]
Seed = Annotated[int | None, typer.Option("--seed", min=0)]
Change = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any key of the recipe: --set optimiser.learning_rate=0.05"),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, mps")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads of torch.")]
ProcessTimeout = Annotated[
    float,
    typer.Option(
        "--process-timeout",
        min=0.01,
        help="Minutes that one of several processes waits for the others at a step.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the result only.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def train(
    recipe: Recipe,
    data: Data = None,
    people: People = None,
    out: Out = None,
    resume: Resume = False,
    auto_resume: AutoResume = False,
    checkpoint: Checkpoint = None,
    init: Init = None,
    genotype: Cells = None,
    validate: Validate = None,
    images: Images = None,
    epochs: Epochs = None,
    seed: Seed = None,
    change: Change = None,
    device: Device = "auto",
    threads: Threads = None,
    process_timeout: ProcessTimeout = 10.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a network on faces: a teacher, or a student alone.

    With --init it starts from given weights. Ctrl-C saves the run; --resume goes on. Under torchrun
    several processes share the work; a run may go on with another number of them.
    """
    changes = _changes(data, people, init, genotype, validate, images, epochs, seed, change)
    going_on = _going_on(resume, auto_resume, checkpoint)
    how = {"device": device, "threads": threads, "process_timeout": process_timeout}
    _run(recipe, changes, out, going_on, checkpoint, how, quiet, json)


def distill(
    recipe: Recipe,
    teacher: Annotated[
        Path | None, typer.Option("--teacher", help="Weights, or a training run's folder.")
    ] = None,
    multi_step: Annotated[
        bool,
        typer.Option("--multi-step", help="Follow the teacher as it matured (run's milestones)."),
    ] = False,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            help="embedding, angular, adadistill, ekd, relational, inherited; else embedding.",
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option("--weight", min=0, help="Of the loss's embedding term; else the loss's own."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder for teacher embeddings: computed once, then reused."),
    ] = None,
    cache_only: Annotated[
        bool,
        typer.Option("--cache-only", help="Fill the cache and train nothing; processes share it."),
    ] = False,
    projection: Annotated[
        str | None,
        typer.Option(
            "--projection",
            help="Join embeddings of different sizes (pca or learned), or take the teacher's less "
            "their mean (centred): for images that the teacher finds alike, as synthetic faces.",
        ),
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            "--unlabelled",
            help="Images of nobody known: a folder of any depth, or .rec. Repeatable.",
        ),
    ] = None,
    data: Data = None,
    people: People = None,
    out: Out = None,
    resume: Resume = False,
    auto_resume: AutoResume = False,
    checkpoint: Checkpoint = None,
    init: Init = None,
    genotype: Cells = None,
    validate: Validate = None,
    images: Images = None,
    epochs: Epochs = None,
    seed: Seed = None,
    change: Change = None,
    device: Device = "auto",
    threads: Threads = None,
    process_timeout: ProcessTimeout = 10.0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a student under a teacher's guidance (PocketNet's embedding distillation, or --loss).

    The teacher is a weights file (its final state teaches) or, with --multi-step, the folder of
    a run that kept its milestones. With --unlabelled and no --data it learns from the teacher
    alone (embedding, angular, relational). --set distill.KEY=VALUE sets a key of the loss, and
    --set distill.preprocessing.KEY=VALUE describes a teacher without a card.
    """
    from pocketface.errors import RecipeError

    changes = _changes(data, people, init, genotype, validate, images, epochs, seed, change)
    given: dict[str, Any] = {"teacher": teacher, "loss": loss, "weight": weight, "cache": cache}
    given["projection"] = projection
    changes |= {
        f"distill.{key}": str(value) if isinstance(value, Path) else value
        for key, value in given.items()
        if value is not None
    }
    if multi_step:
        changes["distill.multi_step"] = True
    if unlabelled:
        changes["data.unlabelled"] = [str(path) for path in unlabelled]
    if teacher is None and not any(key.startswith("distill.teacher") for key in changes):
        from pocketface.train.recipe import load_recipe

        if load_recipe(recipe, changes).distill is None:
            raise RecipeError(
                "no teacher: give --teacher WEIGHTS or --teacher RUN_FOLDER --multi-step, "
                "or a recipe with a section 'distill'. Without a teacher: pocketface train."
            )
    going_on = _going_on(resume, auto_resume, checkpoint)
    how: dict[str, Any] = {"device": device, "threads": threads, "process_timeout": process_timeout}
    if cache_only:
        from pocketface.train.launch import fill_caches
        from pocketface.train.recipe import load_recipe

        filled = fill_caches(load_recipe(recipe, changes), **how, quiet=quiet or json)
        if filled is not None:
            typer.echo(_json({"cache": str(filled)}) if json else f"full: {filled}")
        return
    _run(recipe, changes, out, going_on, checkpoint, how, quiet, json)


def _changes(
    data: list[Path] | None,
    people: Path | None,
    init: Path | None,
    genotype: Path | None,
    validate: list[Path] | None,
    images: Path | None,
    epochs: int | None,
    seed: int | None,
    change: list[str] | None,
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "data.train": [str(path) for path in data] if data else None,
        "data.people": str(people) if people else None,
        "model.init": str(init) if init else None,
        "validation.pairs": [str(path) for path in validate] if validate else None,
        "validation.images": str(images) if images else None,
        "epochs": epochs,
        "seed": seed,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if genotype is not None:
        from pocketface.models.genotype import Genotype

        # As a dict, so that the recipe in force says it all.
        changes["model.options.genotype"] = Genotype.load(genotype).to_dict()
    changes |= key_values(change or [])
    return changes


def _going_on(resume: bool, auto_resume: bool, checkpoint: Path | None) -> bool | Literal["auto"]:
    """What `carry_out` calls `resume`."""
    from pocketface.errors import RecipeError

    if not auto_resume:
        return resume or checkpoint is not None
    if checkpoint is not None:
        raise RecipeError(
            "--auto-resume goes on from the newest checkpoint, and each restart would go back to "
            "--checkpoint. Go on from it once with --checkpoint alone."
        )
    return "auto"


def _run(
    name: str,
    changes: dict[str, Any],
    out: Path | None,
    resume: bool | Literal["auto"],
    checkpoint: Path | None,
    how: dict[str, Any],
    quiet: bool,
    json: bool,
) -> None:
    from pocketface.train import carry_out, load_recipe

    recipe = load_recipe(name, changes)
    run = out or Path("runs") / Path(name).stem
    result = carry_out(
        recipe,
        run,
        resume=resume,
        checkpoint=checkpoint,
        **how,
        quiet=quiet or json,
    )
    if result is None:
        return
    if json:
        typer.echo(
            _json(
                {
                    "run": str(run),
                    "weights": str(run / "last.safetensors"),
                    "steps": result.position.step,
                    "images": result.position.images,
                    "seconds": result.position.seconds,
                    "validation": result.validation,
                }
            )
        )
        return
    typer.echo(f"wrote {run}/last.safetensors, its card, metrics.jsonl, figures/training.png")
    typer.echo(f"next: pocketface evaluate {run}/last.safetensors PAIRS")


def _json(answer: dict[str, Any]) -> str:
    import json

    return json.dumps(answer)
