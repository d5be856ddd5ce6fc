"""`pocketface profile --primitives`: the table of latencies that a search spends from."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pocketface.profile.latency_table import Entry, LatencyTable, Piece
    from pocketface.profile.primitives import Device

_SIZES, _WIDTHS = "56,28,14,7", "16,32,64,128"
_SECONDS = 0.4
"""For each operation, unless the whole is given."""


def measure_table(
    path: Path,
    *,
    networks: list[str],
    runtimes: list[str],
    threads: list[int],
    sizes: str | None,
    widths: str | None,
    seconds: float | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure what is missing in the table at `path`, and write it after all or after Ctrl-C."""
    from pocketface.errors import RecipeError, StoppedError
    from pocketface.profile.latency_table import write_latency_table
    from pocketface.profile.primitives import Device

    if len(runtimes) > 1 or len(threads) > 1:
        raise RecipeError("A latency table has one --runtime and one --threads. Write two tables.")
    if networks and (sizes or widths):
        raise RecipeError("Give names of networks, or --sizes and --widths, not both.")
    if path.is_dir() or path.suffix != ".json":
        raise RecipeError(f"--primitives writes a .json file, got {path}.")
    device = Device(runtimes[0], threads[0])
    wanted = _of_networks(networks) if networks else _grid(sizes or _SIZES, widths or _WIDTHS)
    table = _begin(path, device, overwrite=overwrite)
    known = table.microseconds
    missing = [piece for piece in wanted if piece not in known]
    entries, stopped = _measure(missing, device, seconds)
    table = table.model_copy(update={"entries": (*table.entries, *entries)})
    if entries:
        write_latency_table(path, table)
    if as_json:
        typer.echo(table.model_dump_json())
    else:
        _print(path, table, len(entries))
    if stopped:
        raise StoppedError(f"stopped; {path} keeps what is measured, and the same command goes on.")


def _of_networks(names: list[str]) -> "list[Piece]":
    """What networks of the sizes of these can be made of."""
    from pocketface.errors import RecipeError
    from pocketface.models import PocketNet, list_models, outline_model
    from pocketface.profile.pieces import pieces_of_any

    networks = [outline_model(name) for name in names]
    other = [
        name for name, net in zip(names, networks, strict=True) if not isinstance(net, PocketNet)
    ]
    if other:
        raise RecipeError(
            f"{', '.join(other)} has no primitives: the table is for PocketNets. "
            f"Name one of {', '.join(list_models('pocketnet*'))}, or give --sizes and --widths."
        )
    return pieces_of_any(networks)


def _grid(sizes: str, widths: str) -> "list[Piece]":
    from pocketface.errors import RecipeError
    from pocketface.profile.pieces import pieces_of_grid

    maps, channels = _numbers("--sizes", sizes), _numbers("--widths", widths)
    odd = [width for width in channels if width % 2]
    if odd:
        raise RecipeError(f"--widths must be even, got {odd[0]}: reductions halve them.")
    return pieces_of_grid(maps, channels)


def _numbers(option: str, text: str) -> list[int]:
    from pocketface.errors import RecipeError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise RecipeError(
            f"{option} takes whole numbers with commas between, as 56,28; got {text!r}."
        )
    return [int(part) for part in parts]


def _begin(path: Path, device: "Device", *, overwrite: bool) -> "LatencyTable":
    """The table that is there already, or an empty one."""
    from pocketface.errors import RecipeError
    from pocketface.profile.latency_table import read_latency_table
    from pocketface.profile.primitives import begin_table, continue_table

    if overwrite or not path.exists():
        return begin_table(device)
    try:
        return continue_table(read_latency_table(path), device)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def _measure(
    missing: "list[Piece]", device: "Device", seconds: float | None
) -> "tuple[list[Entry], bool]":
    """The entries of what is missing, and whether Ctrl-C cut it short."""
    import time

    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from pocketface.profile.primitives import LadderTimer, measure_pieces

    entries: list[Entry] = []
    timer = LadderTimer(device, torch.Generator().manual_seed(0))
    each = _SECONDS if seconds is None else seconds / max(1, len(missing))
    begin = time.monotonic()
    columns = (
        TextColumn("measuring operations"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    # Refreshed by hand: a thread that draws would be counted with what is measured.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as progress:
        task = progress.add_task("", total=len(missing), left="")

        def tell(done: int, total: int) -> None:
            left = (time.monotonic() - begin) / done * (total - done) if done else None
            text = "" if left is None else f"about {left:.0f} s left"
            progress.update(task, completed=done, left=text, refresh=True)

        stopped = measure_pieces(missing, timer, each, entries.append, tell)
    return entries, stopped


def _print(path: Path, table: "LatencyTable", added: int) -> None:
    from rich.console import Console

    lines = [
        f"{path}: {added} operations measured now; {table.summary()}.",
        "Latencies are of one image, in "
        + ("processor time." if table.clock == "cpu" else "time on the clock."),
        f"Compare with a network: pocketface profile pocketnet_s_128 --predict {path}",
    ]
    console = Console()
    for line in lines:
        console.print(line, highlight=False, markup=False)
