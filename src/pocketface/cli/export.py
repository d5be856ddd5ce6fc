"""`pocketface export`: trained weights to a file for a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pocketface.deploy import Export


def export(
    weights: Annotated[Path, typer.Argument(help="A .safetensors file with its card beside it.")],
    out: Annotated[Path, typer.Argument(help="The .onnx file to write.")],
    opset: Annotated[int, typer.Option("--opset", help="ONNX operator set, 18 to 23.")] = 18,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Write a network as an ONNX file, checked against the network it came from."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("Tracing, and comparing with the source; half a minute is usual"):
        import numpy as np

        from pocketface.deploy import export_onnx

        done = export_onnx(
            weights, out, generator=np.random.default_rng(0), opset=opset, overwrite=overwrite
        )
    _print_json(done) if as_json else _print_text(done, weights)


def _print_json(done: "Export") -> None:
    import json
    from dataclasses import asdict

    from pocketface.card import card_path

    answer = {
        "path": str(done.path),
        "card": str(card_path(done.path)),
        "sha256": done.card.sha256,
        "bytes": done.bytes,
        "opset": done.opset,
        "parity": asdict(done.parity),
        "seconds": round(done.seconds, 3),
    }
    typer.echo(json.dumps(answer))


def _print_text(done: "Export", weights: Path) -> None:
    from pocketface.card import card_path

    parity = done.parity
    following = (
        f"pocketface verify A.jpg B.jpg --weights {done.path}"
        if done.card.thresholds
        else f"pocketface evaluate {done.path} PAIRS"
    )
    typer.echo(
        f"{done.path}: {done.bytes / 1e6:.2f} MB, opset {done.opset}, in {done.seconds:.1f} s\n"
        f"Same embeddings as {weights.name} on {parity.faces} images: cosine at least "
        f"1 - {1 - parity.cosine:.1g}, relative difference at most {parity.relative:.1g}\n"
        f"Card: {card_path(done.path)}\n"
        f"Next: {following}"
    )
