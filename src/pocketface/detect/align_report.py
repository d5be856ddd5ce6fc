"""What a run over a folder of photographs found: as JSON for programs, as a table to read."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pocketface.atomic import write_text
from pocketface.detect.align_folder import Aligned
from pocketface.detect.align_photo import ALIGNED, RESULTS, Outcome

JSON_NAME, TEXT_NAME = "align.json", "align.txt"


def report_json(run: Aligned) -> dict[str, Any]:
    """Counts, and the outcomes of all photographs that are not plainly one face aligned."""
    counts = Counter(outcome.result for outcome in run.outcomes)
    return {
        "photographs": len(run.outcomes),
        "done_before": run.resumed,
        "other_files": run.others,
        "results": {result: counts[result] for result in RESULTS},
        "several_faces": sum(outcome.faces > 1 for outcome in run.outcomes),
        "people": len({_person(outcome) for outcome in run.outcomes} - {""}),
        "people_without_a_face": _faceless(run.outcomes),
        "outcomes": [
            outcome.to_json()
            for outcome in run.outcomes
            if outcome.result != ALIGNED or outcome.faces > 1
        ],
    }


def summary_lines(run: Aligned, shown: int | None = None) -> list[str]:
    """The report in words, at most `shown` photographs of each kind by name (None: all)."""
    counts = Counter(outcome.result for outcome in run.outcomes)
    parts = [f"{counts[result]:,} {result}" for result in RESULTS if counts[result]]
    lines = [f"{len(run.outcomes):,} photographs: {', '.join(parts)}"]
    if run.resumed:
        lines[0] += f" ({run.resumed:,} of them by a run before)"
    if run.others:
        lines.append(f"{run.others:,} files are no photographs by their ending: passed over")
    for result in RESULTS[1:]:
        lines += _named(
            result, ((o.photo, "; ".join(o.why)) for o in run.outcomes if o.result == result), shown
        )
    lines += _named(
        "several faces",
        (
            (o.photo, f"{o.faces} faces; taken: {o.taken}")
            for o in run.outcomes
            if o.faces > 1 and o.taken
        ),
        shown,
    )
    lines += _named(
        "nobody's face",
        (
            (person, "no photograph of this person gave a face")
            for person in _faceless(run.outcomes)
        ),
        shown,
    )
    return lines


def table_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """A row for each photograph with the figures of its face."""
    head = ("photograph", "result", "faces", "eyes", "turn", "sharp", "bright", "score")
    rows: list[tuple[str, ...]] = [head]
    for outcome in outcomes:
        quality = outcome.quality
        figures = ["-"] * 5
        if quality is not None:
            figures = [
                f"{quality.eyes:.0f}",
                f"{quality.turn:.0f}",
                f"{quality.sharpness:.3f}",
                f"{quality.brightness:.0f}",
                f"{quality.score:.2f}",
            ]
        rows.append((_plain(outcome.photo), outcome.result, str(outcome.faces), *figures))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def write_report(run: Aligned, out: Path) -> None:
    """Write `align.json` and `align.txt` into `out`. Raises OSError where that fails."""
    write_text(out / JSON_NAME, json.dumps(report_json(run), indent=1) + "\n")
    lines = [*summary_lines(run), "", *table_lines(run.outcomes)]
    write_text(out / TEXT_NAME, "\n".join(lines) + "\n")


def _named(title: str, found: Iterable[tuple[str, str]], shown: int | None) -> list[str]:
    entries = list(found)
    if not entries:
        return []
    lines = [f"{title}: {len(entries):,}"]
    for name, words in entries[:shown]:
        lines.append(f"  {_plain(name)}" + (f": {_plain(words)}" if words else ""))
    if shown is not None and len(entries) > shown:
        lines.append(f"  ... and {len(entries) - shown:,} more")
    return lines


def _person(outcome: Outcome) -> str:
    """The folder that a photograph lies in; empty for the folder that was given."""
    return outcome.photo.rpartition("/")[0]


def _faceless(outcomes: Sequence[Outcome]) -> list[str]:
    """People of whom no photograph gave a face."""
    aligned = {_person(outcome) for outcome in outcomes if outcome.result == ALIGNED}
    return sorted({_person(outcome) for outcome in outcomes} - aligned - {""})


def _plain(text: str) -> str:
    """A name that can be printed anywhere, on one line, though it may be no Unicode at all."""
    printable = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in printable)
