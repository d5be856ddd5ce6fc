"""Accuracy against cost: one's own networks, as measured, among the published ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.published_table import BARS, COLUMNS, NAMES, PUBLISHED, TableRow
from pocketface.benchmarks.result import Result
from pocketface.errors import RecipeError
from pocketface.profile.result import Measurement, ModelProfile, Profile


@dataclass(frozen=True)
class Point:
    """One network in the picture.

    Attributes:
        accuracy: the column's figure, in per cent.
        low, high: ends of its 95 % interval, where the report has one.
        measured: whether the accuracy was measured here, and not printed by a paper.
        mflops: as the papers count; for a foreign file 2 x MACs, which these are for the most part.
        parameters_m: millions.
        latency: ms of an image, measured here.
        megabytes: of the ONNX file.
    """

    name: str
    accuracy: float
    measured: bool
    low: float | None = None
    high: float | None = None
    mflops: float | None = None
    parameters_m: float | None = None
    latency: float | None = None
    megabytes: float | None = None


@dataclass(frozen=True)
class Tradeoff:
    """All networks whose figure in `column` is known; `timing` says what the latencies are."""

    column: str
    timing: str
    points: tuple[Point, ...]


def tradeoffs(
    profile: Profile, results: Sequence[Result], columns: Sequence[str]
) -> list[Tradeoff]:
    """The trade-off in each of `columns` (none: every one that `results` fill).

    A result belongs to the profiled network with its fingerprint; else, for a network profiled by
    its name, to the one of its architecture and size. Networks that are exactly published ones and
    have no result of their own stand with the published figure at the latency measured here.

    Raises RecipeError for a result of a network that was not profiled, and for a column that
    neither a result nor a paper has.
    """
    owners = {id(result): _owner(profile.models, result) for result in results}
    found = list(dict.fromkeys(name for result in results for name in result.paper_columns()))
    unknown = [name for name in columns if name not in (*found, *COLUMNS)]
    if unknown:
        raise RecipeError(
            f"Neither a report nor a paper has figures on {', '.join(map(repr, unknown))}. "
            f"Known: {', '.join(dict.fromkeys([*found, *COLUMNS]))}."
        )
    timed = _timing(profile)
    return [
        Tradeoff(
            column,
            "" if timed is None else timed[0],
            tuple(_points(profile, results, owners, column, {} if timed is None else timed[1])),
        )
        for column in columns or found
    ]


def _owner(models: Sequence[ModelProfile], result: Result) -> ModelProfile:
    measured = result.model
    for model in models:
        if measured.fingerprint in model.fingerprints:
            return model
    for model in models:
        alike = (model.architecture, model.parameters, model.embedding_size)
        if model.source == "registry" and alike == (
            measured.architecture,
            measured.parameters,
            measured.embedding_size,
        ):
            return model
    raise RecipeError(
        f"The report of {measured.name} on {result.benchmark} is of a network (fingerprint "
        f"{measured.fingerprint[:12]}) that was not profiled: profile the file that was evaluated. "
        f"Profiled: {', '.join(model.name for model in models)}."
    )


def _points(
    profile: Profile,
    results: Sequence[Result],
    owners: dict[int, ModelProfile],
    column: str,
    latencies: dict[str, float],
) -> Iterable[Point]:
    taken: set[str] = set()
    published = {row.name: row for row in (*PUBLISHED, *BARS) if column in row.figures}
    for result in results:
        accuracy = result.paper_columns().get(column)
        if accuracy is None:
            continue
        model = owners[id(result)]
        name = model.name if model.source != "registry" else result.model.name
        taken.add(model.name)
        low, high = _interval(result)
        yield _own(model, name, accuracy, latencies, measured=True, low=low, high=high)
    for model in profile.models:
        row = published.get(NAMES.get(model.architecture, ""))
        if model.name in taken or row is None or model.published_mflops is None:
            continue
        published.pop(row.name)
        yield _own(model, row.name, row.figures[column], latencies, measured=False)
    for row in published.values():
        yield _of_row(row, column)


def _own(
    model: ModelProfile,
    name: str,
    accuracy: float,
    latencies: dict[str, float],
    *,
    measured: bool,
    low: float | None = None,
    high: float | None = None,
) -> Point:
    return Point(
        name=name,
        accuracy=accuracy,
        measured=measured,
        low=low,
        high=high,
        mflops=model.paper_mflops or 2 * model.macs / 1e6,
        parameters_m=None if model.parameters is None else model.parameters / 1e6,
        latency=latencies.get(model.name),
        megabytes=model.bytes / 1e6,
    )


def _of_row(row: TableRow, column: str) -> Point:
    return Point(
        name=row.name,
        accuracy=row.figures[column],
        measured=False,
        mflops=row.mflops,
        parameters_m=row.parameters_m,
    )


def _interval(result: Result) -> tuple[float | None, float | None]:
    """Of the accuracy on pairs, in per cent; other protocols' columns have none here."""
    if not isinstance(result, PairResult):
        return None, None
    low, high = result.accuracy.low, result.accuracy.high
    return (None, None) if low is None or high is None else (100 * low, 100 * high)


def _timing(profile: Profile) -> tuple[str, dict[str, float]] | None:
    """The first way of running that all networks have, and the latency of each so.

    Where others disturbed one of them, it is the processor's time for all.
    """
    ways: list[dict[tuple[str, int, int], Measurement]] = [
        {(each.runtime, each.threads, each.batch): each for each in model.measurements}
        for model in profile.models
        if model.measurements
    ]
    common = next(
        (way for way in (ways[0] if ways else {}) if all(way in own for own in ways)), None
    )
    if common is None:
        return None
    measured = {
        model.name: each
        for model in profile.models
        for each in model.measurements
        if (each.runtime, each.threads, each.batch) == common
    }
    cpu = any(each.interrupted for each in measured.values())
    title = next(iter(measured.values())).title + (", processor's time" if cpu else "")
    return title, {
        name: each.latency.cpu if cpu else each.latency.median for name, each in measured.items()
    }
