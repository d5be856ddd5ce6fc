"""`pocketface export`: trained weights to a file for a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from pocketface.deploy import Export

_INT8 = "In 8 bits"


def _show_targets(wanted: bool) -> None:
    """Print the table of targets and end; it needs nothing of what they need."""
    if not wanted:
        return
    from rich.console import Console
    from rich.table import Column, Table

    from pocketface.deploy.targets import TARGETS

    names = ("target", "writes", "runs in", "extras", "options")
    columns = [Column(name, no_wrap=name != "options") for name in names]
    table = Table(*columns, box=None, pad_edge=False)
    for target in TARGETS.values():
        table.add_row(
            target.name,
            " ".join((target.suffix, *target.companions, ".json")),
            target.runtime,
            ",".join(target.extras),
            " ".join(f"--{name}" for name in target.options),
        )
    Console().print(table)
    typer.echo("\n.json is the card. Extras: pip install 'pocketface[EXTRAS]'")
    raise typer.Exit


def export(
    weights: Annotated[Path, typer.Argument(help="A .safetensors file with its card beside it.")],
    out: Annotated[Path, typer.Argument(help="The file to write: .onnx, or as the target says.")],
    target: Annotated[
        str, typer.Option("--target", "-t", help="Format of the file; see --targets.")
    ] = "onnx",
    targets: Annotated[  # noqa: ARG001 - its callback answers
        bool,
        typer.Option(
            "--targets",
            "--list",
            help="Print the table of targets and end.",
            is_eager=True,
            callback=_show_targets,
        ),
    ] = False,
    input_kind: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="float|uint8",
            help="What the file takes: float32 (N, 3, S, S), normalised; or uint8 RGB pixels "
            "(N, S, S, 3), which it normalises itself.",
        ),
    ] = "float",
    output_kind: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="raw|unit",
            help="What it gives: embeddings as computed; or of unit length, with their lengths "
            "as a second output.",
        ),
    ] = "raw",
    batch: Annotated[
        int | None, typer.Option("--batch", help="Fix the batch size.", show_default="any")
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Compute in 8 bits; .onnx only.", rich_help_panel=_INT8),
    ] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            metavar="FACES",
            help="Faces that set the ranges: synthetic[:N], a folder per person, or a .rec.",
            show_default="synthetic",
            rich_help_panel=_INT8,
        ),
    ] = None,
    int8_from: Annotated[
        str | None,
        typer.Option(
            "--int8-from",
            metavar="auto|start|MODULE",
            help="Where 8 bits begin, what is before being in float: where it costs least time, "
            "with the first layer, or with a module of the network, such as cells.9.",
            show_default="auto",
            rich_help_panel=_INT8,
        ),
    ] = None,
    fine_tune: Annotated[
        int | None,
        typer.Option(
            "--fine-tune",
            metavar="STEPS",
            help="Learn the float network's embeddings under rounding, on these faces.",
            rich_help_panel=_INT8,
        ),
    ] = None,
    allow_loss: Annotated[
        bool,
        typer.Option(
            "--allow-loss",
            help="Write the file even if it loses much.",
            rich_help_panel=_INT8,
        ),
    ] = False,
    opset: Annotated[int, typer.Option("--opset", help="ONNX operator set, 18 to 23.")] = 18,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Write a network as a file for a device, checked against the network it came from.

    The card (thresholds, preprocessing, licence) goes into the file: it can be used alone.
    """
    if int8 or allow_loss or any(o is not None for o in (calibrate, int8_from, fine_tune)):
        from pocketface.cli.export_int8 import export_int8_file

        export_int8_file(
            weights,
            out,
            target=target,
            int8=int8,
            calibrate=calibrate,
            int8_from=int8_from,
            fine_tune=fine_tune,
            allow_loss=allow_loss,
            input_kind=input_kind,
            output_kind=output_kind,
            batch=batch,
            opset=opset,
            overwrite=overwrite,
            as_json=as_json,
        )
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("Writing, and comparing with the source"):
        import numpy as np

        from pocketface.deploy import ExportOptions, export_network

        done = export_network(
            weights,
            out,
            generator=np.random.default_rng(0),
            target=target,
            options=ExportOptions(
                input=cast(Any, input_kind),
                output=cast(Any, output_kind),
                batch=batch,
                opset=opset,
            ),
            overwrite=overwrite,
        )
    _print_json(done) if as_json else _print_text(done, weights)


def _print_json(done: "Export") -> None:
    import json
    from dataclasses import asdict

    from pocketface.card import card_path

    answer = {
        "target": done.target,
        "path": str(done.path),
        "companions": [str(path) for path in done.companions],
        "card": str(card_path(done.path)),
        "sha256": done.card.sha256,
        "bytes": done.bytes,
        **asdict(done.options),
        "parity": asdict(done.parity),
        "seconds": round(done.seconds, 3),
    }
    typer.echo(json.dumps(answer))


def _print_text(done: "Export", weights: Path) -> None:
    from pocketface.card import card_path

    parity, options = done.parity, done.options
    files = " + ".join([str(done.path), *(path.suffix for path in done.companions)])
    takes = "float32 (N, 3, S, S)" if options.input == "float" else "uint8 RGB (N, S, S, 3)"
    gives = "raw embeddings" if options.output == "raw" else "embeddings of length 1, and lengths"
    following = (
        f"pocketface verify A.jpg B.jpg --weights {done.path}"
        if done.card.thresholds
        else f"pocketface evaluate {done.path} PAIRS"
    )
    typer.echo(
        f"{files}: {done.bytes / 1e6:.2f} MB in {done.seconds:.1f} s; takes {takes}, gives {gives}"
        f"\nSame embeddings as {weights.name} on {parity.faces} images: cosine at least "
        f"1 - {1 - parity.cosine:.1g}, relative difference at most {parity.relative:.1g}\n"
        f"Card: in the file, and in {card_path(done.path)}\n"
        f"Next: {following}"
    )
