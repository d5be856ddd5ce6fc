"""The folder that a measurement leaves: JSON for programs, Markdown and HTML for people."""

import errno
import importlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from pocketface import atomic
from pocketface.benchmarks.cases import CaseGroup
from pocketface.benchmarks.comparison import Comparison
from pocketface.benchmarks.page import figure_title, page
from pocketface.benchmarks.replicates import FILE as REPLICATES
from pocketface.benchmarks.replicates import Replicates, write_replicates
from pocketface.benchmarks.result import Record, Result
from pocketface.benchmarks.table import latex_table, markdown_table, rows_of
from pocketface.errors import DataError

R = TypeVar("R", bound=Record)

_KINDS = {
    "pairs": ("pocketface.benchmarks.pair_result", "PairResult"),
    "ijb": ("pocketface.benchmarks.ijb.result", "IjbResult"),
    "megaface": ("pocketface.benchmarks.megaface.result", "MegafaceResult"),
    "people": ("pocketface.benchmarks.people.result", "PeopleResult"),
}
"""Module and class of each kind of result, imported where one is read."""

COMPARISON = "comparison.json"
SCORES = "scores.npy"
"""The similarity of each pair beside a `report.json`, float32 (P,), in the set's order."""


def check_folder(folder: Path) -> None:
    """Make `folder`, and raise DataError now rather than after the work if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(folder, error) from error


class Measurement(NamedTuple):
    """All that goes into a report.

    Attributes:
        result: the figures.
        figures: pictures, PNG files by file name.
        cases: what the network gets most wrong.
        replicates: of the figures, if a paired comparison is to be possible.
        scores: float64 (P,), the similarities of a set of pairs, if they are to be kept.
        comparison: with another network on the same set, if one was asked for.
    """

    result: Result
    figures: Mapping[str, bytes]
    cases: Sequence[CaseGroup]
    replicates: Replicates | None = None
    scores: npt.NDArray[np.float64] | None = None
    comparison: Comparison | None = None


def write_report(folder: Path, measured: Measurement) -> list[Path]:
    """Write `report.json`, `.md` and `.html`, `table.md` and `.tex`, `figures/*.png` to `folder`.

    Replicates, scores and comparison go into files of their own. Files of an older report are
    replaced or removed. Returns the files written, the page last; raises DataError if the folder
    cannot be written.
    """
    result, figures, cases, replicates, scores, comparison = measured
    written: list[Path] = []
    row = rows_of([result], {})

    def write(path: Path, content: bytes) -> None:
        atomic.write_bytes(path, content)
        written.append(path)

    try:
        for name in (REPLICATES, SCORES, COMPARISON):
            (folder / name).unlink(missing_ok=True)
        for name, content in figures.items():
            write(folder / "figures" / name, content)
        if replicates is not None:
            written.append(write_replicates(folder, replicates))
        if scores is not None:
            buffer = io.BytesIO()
            np.save(buffer, scores.astype(np.float32), allow_pickle=False)
            write(folder / SCORES, buffer.getvalue())
        if comparison is not None:
            write(folder / COMPARISON, f"{comparison.model_dump_json(indent=2)}\n".encode())
        for name, text in (
            ("report.json", result.model_dump_json(indent=2)),
            ("report.md", markdown(result, figures, comparison)),
            ("table.md", markdown_table(row)),
            ("table.tex", latex_table(row)),
            ("report.html", page(result, figures, cases, comparison)),
        ):
            write(folder / name, f"{text.rstrip()}\n".encode())
    except OSError as error:
        raise _unwritable(folder, error) from error
    return written


def read_report(path: Path, kind: type[R]) -> R:
    """Read a `report.json` of this kind, such as `PairResult`. Raises DataError if it is none."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} is not a report of `pocketface evaluate` that this version reads: {error}. "
            "Run the command again."
        ) from error


def read_any_report(path: Path) -> Result:
    """Read a `report.json` of whichever protocol. Raises DataError if it is none."""
    try:
        kind = json.loads(path.read_bytes())["kind"]
        module, name = _KINDS[kind]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a report of `pocketface evaluate` that this version reads: {error!r}. "
            "Run the command again."
        ) from error
    result: Result = read_report(path, getattr(importlib.import_module(module), name))
    return result


def read_scores(report: Path) -> npt.NDArray[np.float64]:
    """The similarities beside a `report.json`, float64 (P,). Raises DataError if there are none."""
    path = report.parent / SCORES
    try:
        scores: npt.NDArray[np.float64] = np.load(path, allow_pickle=False).astype(np.float64)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{path} does not hold the similarities of {report.name}: {error}. "
            "Measure that network again."
        ) from error
    return scores


def markdown(
    result: Result, figures: Mapping[str, bytes], comparison: Comparison | None = None
) -> str:
    """The report as plain Markdown, with the pictures beside it."""
    measured, *others = result.sentences()
    lines = [
        f"# {result.model.name} on {result.benchmark}",
        "",
        measured,
        "",
        "| figure | value | interval | remark |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in result.rows()]
    lines += ["", *(f"{text}\n" for text in others)]
    if comparison is not None:
        lines += [f"## Against {comparison.second}", "", comparison.sentence(), ""]
        lines += ["| figure | difference | interval | remark |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in comparison.rows()]
        lines += [""]
    lines += [f"![{figure_title(name)}](figures/{name})\n" for name in figures]
    return "\n".join(lines)


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{folder} cannot be written: {error.strerror}. Choose another folder with --out."
    )
