"""`pocketface export --int8`: trained weights to a file that computes in 8 bits."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

if TYPE_CHECKING:
    from pocketface.deploy.int8.export import Int8Export


def export_int8_file(
    weights: Path,
    out: Path,
    *,
    target: str,
    int8: bool,
    calibrate: str | None,
    int8_from: str | None,
    fine_tune: int | None,
    allow_loss: bool,
    input_kind: str,
    output_kind: str,
    batch: int | None,
    opset: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the file and say what it lost.

    Raises RecipeError for options that say nothing together, and as `export_int8`.
    """
    from pocketface.errors import RecipeError

    if not int8:
        raise RecipeError(
            "--calibrate, --int8-from, --fine-tune and --allow-loss are of files in 8 bits: "
            "add --int8."
        )
    if target != "onnx":
        raise RecipeError(
            f"--int8 writes ONNX files, not those of the target {target}. Leave --target out: "
            "OpenVINO reads the .onnx file, too."
        )
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from pocketface.deploy import ExportOptions
    from pocketface.deploy.int8.border import AUTO
    from pocketface.deploy.int8.export import export_int8
    from pocketface.deploy.int8.quantise import Int8Options

    with Progress(console=Console(stderr=True), transient=True) as shown:
        bars: dict[str, Any] = {}

        def tell(task: str, done: int, of: int) -> None:
            if task not in bars:
                bars[task] = shown.add_task(task, total=of)
            shown.update(bars[task], completed=done)

        tell("Quantising", 0, 1)
        done = export_int8(
            weights,
            out,
            generator=np.random.default_rng(0),
            int8=Int8Options(
                calibrate or "synthetic",
                fine_tune or 0,
                allow_loss=allow_loss,
                begin=int8_from or AUTO,
            ),
            options=ExportOptions(
                input=cast(Any, input_kind),
                output=cast(Any, output_kind),
                batch=batch,
                opset=opset,
            ),
            overwrite=overwrite,
            progress=tell,
        )
    _print_json(done) if as_json else _print_text(done, weights)


def _print_json(done: "Int8Export") -> None:
    import json
    from dataclasses import asdict

    from pocketface.card import card_path

    assert done.card.quantisation is not None
    answer = {
        "target": "onnx",
        "path": str(done.path),
        "companions": [],
        "card": str(card_path(done.path)),
        "sha256": done.card.sha256,
        "bytes": done.bytes,
        **asdict(done.options),
        "quantisation": done.card.quantisation.model_dump(),
        "seconds": round(done.seconds, 3),
    }
    typer.echo(json.dumps(answer))


def _print_text(done: "Int8Export", weights: Path) -> None:
    from pocketface.card import card_path

    lost = done.card.quantisation
    assert lost is not None
    before = [f"all before {lost.begins_with}"] if lost.begins_with else []
    tuned = f", fine-tuned for {lost.fine_tuned_steps} steps" if lost.fine_tuned_steps else ""
    typer.echo(
        f"{done.path}: {done.bytes / 1e6:.2f} MB in 8 bits, in {done.seconds:.1f} s; ranges from "
        f"{lost.calibrated_on}{tuned}\n"
        f"Cosine to {weights.name} on {lost.held_out} other faces: {lost.mean_cosine:.4f} on "
        f"average, at least {lost.least_cosine:.4f}\n"
        f"In float: {', '.join([*before, *lost.float_layers])}\n"
        f"Card: in the file, and in {card_path(done.path)}"
        + ("; its thresholds are the float network's" if done.card.thresholds else "")
        + f"\nNext: pocketface evaluate {done.path} PAIRS --against FLOAT/report.json"
    )
