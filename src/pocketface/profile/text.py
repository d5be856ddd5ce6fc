"""A profile in words and tables of plain text, for the screen, the Markdown file and the page."""

from collections.abc import Sequence
from typing import NamedTuple

from pocketface.profile.layers import Layers, Part, parts_by
from pocketface.profile.result import Measurement, ModelProfile, Profile

SLOWEST = 12
"""How many layers are named one by one."""

LEGEND = (
    "MACs: multiply-accumulates; MFLOPs: counted as the PocketNet paper does. T: threads; B: "
    "images at once. median, 5 %, 95 %, min: ms of an image on the clock, without preparing it; "
    "cpu: ms of the processor, all threads together; load: ms to open the file; peak: MB at most "
    "above the runtime's own."
)


class Table(NamedTuple):
    """A table of text; the first column holds names, the others numbers."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def facts(model: ModelProfile) -> str:
    """What the network is, in one sentence."""
    drawn = " (weights drawn)" if model.source == "registry" else ""
    parameters = "" if model.parameters is None else f"{model.parameters:,} parameters, "
    counted = "" if model.counted == "network" else " in the file"
    known = "" if model.published_mflops is None else f" ({model.published_mflops:,.2f} published)"
    mflops = "" if model.paper_mflops is None else f"{model.paper_mflops:,.2f} MFLOPs{known}, "
    file = "" if model.source in ("onnx", "exported") else " as exported"
    return (
        f"{model.name}{drawn}: {parameters}{model.macs / 1e6:,.1f} M MACs{counted}, "
        f"{mflops}{model.bytes / 1e6:.2f} MB{file}; images of {model.image_size} px "
        f"to {model.embedding_size} numbers."
    )


def latency_table(model: ModelProfile) -> Table:
    """One row for each runtime, number of threads and batch."""
    head = ("runtime", "T", "B", "median", "5 %", "95 %", "min", "cpu", "images/s", "load", "peak")
    return Table(head, [_row(measured) for measured in model.measurements])


def _row(measured: Measurement) -> tuple[str, ...]:
    latency = measured.latency
    times = (latency.median, latency.p5, latency.p95, latency.minimum, latency.cpu)
    median, *others = map(short, times)
    peak = measured.peak_memory
    return (
        measured.runtime,
        str(measured.threads),
        str(measured.batch),
        median if latency.settled else f"~{median}",
        *others,
        short(latency.images_per_second),
        f"{measured.load_ms:.0f}",
        "-" if peak is None else f"{peak / 1e6:.0f}",
    )


def kinds_table(layers: Layers) -> Table:
    """The time of each kind of operation, beside its arithmetic."""
    head = ("kind", "nodes", "us", "time", "MACs", "GMAC/s")
    return Table(head, [_part(part, layers) for part in parts_by(layers, "kind")])


def _part(part: Part, layers: Layers) -> tuple[str, ...]:
    speed = part.macs / part.microseconds / 1e3 if part.macs and part.microseconds else None
    return (
        part.name,
        str(part.nodes),
        f"{part.microseconds:,.0f}",
        share(part.microseconds, layers.microseconds),
        share(part.macs, layers.macs) if part.macs else "-",
        "-" if speed is None else f"{speed:.1f}",
    )


def slowest_table(layers: Layers) -> Table:
    """The layers that take longest."""
    slowest = parts_by(layers, "name")[:SLOWEST]
    head = ("layer", "nodes", "us", "time", "MACs")
    rows = [
        (
            part.name,
            str(part.nodes),
            f"{part.microseconds:,.0f}",
            share(part.microseconds, layers.microseconds),
            share(part.macs, layers.macs) if part.macs else "-",
        )
        for part in slowest
    ]
    return Table(head, rows)


def layers_sentence(layers: Layers) -> str:
    """What was timed, and what the sum is."""
    threads = "1 thread" if layers.threads == 1 else f"{layers.threads} threads"
    images = "one image" if layers.batch == 1 else f"{layers.batch} images"
    return (
        f"onnxruntime's profiler, {threads}, {layers.runs} runs of {images}: {len(layers.nodes)} "
        f"nodes, {layers.microseconds / 1e3:,.2f} ms together."
    )


def remarks(model: ModelProfile) -> list[str]:
    """What is to be said below the figures of one network."""
    found = list(model.notes)
    predicted = model.prediction
    if predicted is not None:
        threads = "1 thread" if predicted.threads == 1 else f"{predicted.threads} threads"
        elsewhere = "" if predicted.same_machine else ", measured on another machine"
        found.append(
            f"{predicted.table} predicts {short(predicted.milliseconds)} ms an image "
            f"({predicted.runtime}, {threads}{elsewhere})."
        )
    return found


def about(result: Profile) -> str:
    """The machine and the runtimes."""
    versions = {
        measured.runtime: measured.version
        for model in result.models
        for measured in model.measurements
    }
    runtimes = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{result.machine}. {runtimes or 'Nothing was measured'}; {result.seconds:.0f} s."


def markdown(result: Profile, pictures: list[str]) -> str:
    """The profile as a Markdown file; `pictures` are files beside it."""
    parts = ["# Profile", about(result), *result.warnings()]
    for model in result.models:
        parts += [f"## {model.name}", facts(model)]
        if model.measurements:
            parts.append(markdown_table(latency_table(model)))
        parts += remarks(model)
        if model.layers is not None:
            parts += [
                "### Layers",
                layers_sentence(model.layers),
                markdown_table(kinds_table(model.layers)),
                markdown_table(slowest_table(model.layers)),
            ]
    parts += [LEGEND, *(f"![{name}]({name})" for name in pictures)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """The table in Markdown."""
    lines = [table.head, ("---", *["---:"] * (len(table.head) - 1)), *table.rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def short(number: float) -> str:
    """A number with three digits that count, and no exponent."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number < 0.1 else f"{number:.{1 if number >= 10 else 2}f}"


def share(part: float, whole: float) -> str:
    """A part in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"
