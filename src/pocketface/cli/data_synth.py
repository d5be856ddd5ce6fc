"""`pocketface data synth`: a training set and the benchmarks in miniature, of synthetic people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pocketface.synthetic.sets import Made


def synth(
    out: Annotated[Path, typer.Argument(help="The folder to make, or to go on with.")],
    only: Annotated[
        str | None,
        typer.Option("--only", help="Make only these, such as train,lfw,cfp_fp."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which people there are.")] = 0,
    people: Annotated[int, typer.Option("--people", help="People to train on.")] = 500,
    images_per_person: Annotated[
        int, typer.Option("--images-per-person", help="Images of each of them.")
    ] = 20,
    size: Annotated[int, typer.Option("--size", help="Their size in pixels.")] = 112,
    layout: Annotated[
        Literal["folder", "rec"],
        typer.Option("--layout", help="A folder per person, or train.rec."),
    ] = "folder",
    scale: Annotated[
        float, typer.Option("--scale", help="How large the benchmarks are; 1 is 600 pairs.")
    ] = 1.0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes; one for each core if left out."),
    ] = None,
) -> None:
    """Make synthetic people: a training set, and the benchmarks in miniature in their own formats.

    The sets are train; lfw, calfw, cplfw, cfp_fp, cfp_ff, agedb_30 of 600 pairs;
    ijbb, ijbc of 1,000 templates; megaface. Nobody is in two of them.

    The same command gives the same bytes, and goes on where it was stopped.
    """
    import os

    from pocketface.cli.progress import images_progress
    from pocketface.synthetic.sets import choose_sets, make_sets

    recipes = choose_sets(
        None if only is None else [name.strip() for name in only.split(",") if name.strip()],
        scale=scale,
        people=people,
        images_per_person=images_per_person,
        size=size,
        layout=layout,
    )
    with images_progress("Rendering") as progress:
        made = make_sets(
            out, recipes, seed, workers=workers or os.cpu_count() or 1, progress=progress
        )
    _print(made)


def _print(made: "Sequence[Made]") -> None:
    for one in made:
        counts = ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in one.counts.items()
        )
        note = " (kept)" if one.kept else ""
        if one.other_version:
            note = " (kept, made by another version: delete it to make it again)"
        typer.echo(f"{one.path}: {counts}; {one.bytes / 1e6:.1f} MB{note}")
    for name, command in _NEXT.items():
        path = next((one.path for one in made if one.name == name), None)
        if path is not None:
            typer.echo(f"next: pocketface {command} {path}")


_NEXT = {"train": "train RECIPE --data", "lfw": "evaluate WEIGHTS"}
"""What can be done with a set."""
