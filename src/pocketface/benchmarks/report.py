"""The folder that a measurement leaves: JSON for programs, Markdown and HTML for people."""

import errno
import os
from pathlib import Path

from pydantic import ValidationError

from pocketface import atomic
from pocketface.benchmarks.figures import roc_png, scores_png
from pocketface.benchmarks.page import page
from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.summary import interval_sentence, set_sentence, summary_rows
from pocketface.data.pairs import PairSet
from pocketface.errors import DataError


def check_folder(folder: Path) -> None:
    """Make `folder`, and raise DataError now rather than after the work if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_report(
    folder: Path, result: PairResult, pairs: PairSet, *, scores: bool = False
) -> list[Path]:
    """Write `report.json`, `report.md`, `report.html` and `figures/*.png` into `folder`.

    `result` must carry its scores; they go into the JSON only with `scores`. Files of an older
    report are replaced. Returns the files written; raises DataError if the folder cannot be
    written.
    """
    pictures = {"roc.png": roc_png(result), "scores.png": scores_png(result, pairs.same)}
    texts = {
        "report.json": result.model_dump_json(indent=2, exclude=None if scores else {"scores"}),
        "report.md": markdown(result),
        "report.html": page(result, pairs, pictures["roc.png"], pictures["scores.png"]),
    }
    written = []
    try:
        for name, content in pictures.items():
            atomic.write_bytes(folder / "figures" / name, content)
            written.append(folder / "figures" / name)
        for name, text in texts.items():
            atomic.write_text(folder / name, text.rstrip() + "\n")
            written.append(folder / name)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return written


def read_report(path: Path) -> PairResult:
    """Read a `report.json`. Raises DataError if it is none."""
    try:
        return PairResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} is not a report of `pocketface evaluate`: {error}. Run the command again."
        ) from error


def markdown(result: PairResult) -> str:
    """The report as plain Markdown, with the pictures beside it."""
    lines = [
        f"# {result.model.name} on {result.benchmark}",
        "",
        set_sentence(result),
        "",
        "| figure | value | interval | remark |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in summary_rows(result)]
    lines += ["", interval_sentence(result), ""]
    lines += [f"{text}\n" for text in result.not_measured]
    lines += ["![ROC](figures/roc.png)", "", "![Scores](figures/scores.png)"]
    return "\n".join(lines)


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{folder} cannot be written: {error.strerror}. Choose another folder with --out."
    )
