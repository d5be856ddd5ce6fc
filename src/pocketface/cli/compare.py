"""`pocketface compare`: arms times seeds from one YAML file, and which differences are noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pocketface.compare.findings import Findings
    from pocketface.compare.sitting import Sitting
    from pocketface.compare.text import Table as TextTable


def compare(
    design: Annotated[Path, typer.Argument(help="The YAML file: arms, seeds, what is measured.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The comparison's folder. [runs/<design>]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and print the plan.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time.")] = 1,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads of each run.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, mps")] = "auto",
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0, help="Stop after so long, and save.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train every arm with every seed, measure, and say which differences are noise.

    The same command goes on where a comparison was stopped (Ctrl-C) or killed; what is finished
    is not done again. Tables, pictures and the page are written after each run.
    """
    import shlex

    from rich.console import Console

    from pocketface.compare.design_file import read_design
    from pocketface.compare.process import start_process
    from pocketface.compare.publish import publish
    from pocketface.compare.sitting import Options, Sitting
    from pocketface.errors import StoppedError, TrainingError

    console = Console(stderr=as_json)
    folder = out or Path("runs") / design.stem
    plan = read_design(design)
    text = design.read_text(encoding="utf-8")
    options = Options(device, threads, jobs, minutes, quiet or as_json)
    sitting = Sitting(plan, folder, options)
    if dry_run:
        _print_plan(console, sitting)
        return
    findings, outcome = sitting.carry_out(
        start_process, lambda found: publish(folder, found, sitting.planned, text)
    )
    if as_json:
        typer.echo(findings.model_dump_json())
    else:
        _print(console, findings)
    page = folder / "compare.html"
    console.print(f"Page: {page}", highlight=False, markup=False, soft_wrap=True)
    again = shlex.join(["pocketface", "compare", str(design), "--out", str(folder)])
    if outcome.failed:
        told = "\n".join(f"{name}: {reason}" for name, reason in outcome.failed.items())
        raise TrainingError(
            f"{told}\nThe rest of such an arm was left out. Mend it and go on with: {again}"
        )
    if outcome.stopped:
        raise StoppedError(
            f"stopped; {findings.done} of {len(findings.runs)} runs are done, and those at work "
            f"are saved. Go on with: {again}"
        )


def _print_plan(console: "Console", sitting: "Sitting") -> None:
    """What is to be done, what it costs, and how long it will take if that can be said."""
    from pocketface.compare.text import cost_table
    from pocketface.compare.view import seconds_left
    from pocketface.train.log import duration

    findings = sitting.findings()
    _print_table(console, sitting.design.title, cost_table(findings))
    order = [run for run in findings.runs if run.finished is None]
    images = sum(run.images for run in order)
    lines = [
        f"{len(order)} of {len(findings.runs)} runs to train, {images:,} images: "
        + "; ".join(f"{run.arm}, seed {run.seed}" for run in order),
        f"Measured on: {', '.join(findings.benchmarks)}.",
    ]
    seconds = seconds_left(sitting.planned, sitting.costs)
    if order and seconds is None:
        lines.append("How long it takes is known once one run is finished.")
    elif order and seconds is not None:
        lines.append(f"About {duration(seconds / sitting.options.at_once)} of training are left.")
    for line in (*lines, *findings.warnings):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print(console: "Console", findings: "Findings") -> None:
    from pocketface.compare.text import heading, short_table, standing

    for name in findings.benchmarks:
        _print_table(
            console, f"\n{findings.title}; {heading(findings, name)}", short_table(findings, name)
        )
    for line in (standing(findings), *findings.warnings):
        if line is not None:
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_table(console: "Console", title: str, content: "TextTable") -> None:
    from rich.table import Table
    from rich.text import Text

    styles = {"noise": "dim", "few": "dim", "beside": "dim", "higher": "green", "lower": "red"}
    # Without a frame a table fits 80 columns.
    table = Table(
        title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False
    )
    for place, name in enumerate(content.head):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=place > 0)
    for line in content.lines:
        table.add_row(*map(Text, line.cells), style=styles.get(line.kind))
    console.print(table)
