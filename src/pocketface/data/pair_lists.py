"""Lists of pairs as text: LFW's `pairs.txt`, and [image, image, same] in JSON, TSV or CSV."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pocketface.data.folder import IMAGE_ENDINGS
from pocketface.errors import DataError

LIST_ENDINGS = (".txt", ".json", ".tsv", ".csv")

_ANSWERS = {"1": True, "true": True, "0": False, "false": False}


class Entry(NamedTuple):
    """One pair: two names, the answer, and where it stands, such as `line 7`."""

    left: str
    right: str
    same: bool
    place: str


@dataclass(frozen=True)
class PairList:
    """The pairs of a list, in its order. LFW names its images without their ending."""

    entries: list[Entry]
    folds: int
    without_ending: bool

    def find(self, root: Path, name: str) -> str | None:
        """The path below `root` of the image called `name`, or None if it is not there."""
        endings = ("", *IMAGE_ENDINGS) if self.without_ending else ("",)
        for ending in endings:
            if (root / (name + ending)).is_file():
                return name + ending
        return None


def read_pair_list(path: Path) -> PairList:
    """Read a list of pairs; its ending says which.

    `.txt` is LFW's: a header "folds<TAB>n", then per fold n lines "name i j" (one person) and n
    lines "name i name j" (two), which stand for `<name>/<name>_%04d`. `.json` is a list of
    [image, image, same], or an object with one such list (or several, one of them `test`);
    `.tsv` and `.csv` have these three columns, with or without a header. `same` is 1, 0, true or
    false; images are paths below the folder of images; pairs lie in 10 folds (fewer if there are
    fewer pairs). Raises DataError with the line or item that cannot be read.
    """
    if path.suffix not in LIST_ENDINGS:
        raise DataError(
            f"{path}: the ending of a list of pairs must be one of {', '.join(LIST_ENDINGS)}, "
            f"not '{path.suffix}'."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error}. Save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read the list: {error.strerror}.") from error
    readers = {".txt": _read_lfw, ".json": _read_json, ".tsv": _read_table, ".csv": _read_table}
    pairs = readers[path.suffix](path, text)
    if not pairs.entries:
        raise DataError(f"{path}: there is no pair in it. Give at least one.")
    return pairs


def _read_lfw(path: Path, text: str) -> PairList:
    lines = [
        (number, line.split("\t") if "\t" in line else line.split())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    header = [_positive(field) for field in lines[0][1]] if lines else []
    if len(header) != 2 or header[0] is None or header[1] is None:
        raise DataError(
            f"{path}: line 1 must be LFW's header, 'folds<TAB>pairs of each kind per fold' (10 and "
            "300 for View 2). For [image, image, same] use the ending .tsv, .csv or .json."
        )
    folds, per_kind = header[0], header[1]
    body = lines[1:]
    if len(body) != 2 * folds * per_kind:
        raise DataError(
            f"{path}: line 1 promises {folds} folds of {per_kind} + {per_kind} pairs, "
            f"{2 * folds * per_kind:,} lines; there are {len(body):,}. Restore the list."
        )
    entries = []
    for row, (number, fields) in enumerate(body):
        entry = _lfw_entry([field.strip() for field in fields], f"line {number}")
        if entry is None:
            raise DataError(
                f"{path}: line {number}: '{' '.join(fields)}' is neither 'name i j' nor "
                "'name i name j'. Correct the line."
            )
        if entry.same != (row // per_kind % 2 == 0):
            raise DataError(
                f"{path}: line {number}: a pair of {'one person' if entry.same else 'two people'}, "
                f"but each fold has {per_kind} pairs of one person, then {per_kind} of two. "
                "Restore the order, or use the ending .tsv with [image, image, same]."
            )
        entries.append(entry)
    return PairList(entries, folds, without_ending=True)


def _lfw_entry(fields: list[str], place: str) -> Entry | None:
    if len(fields) not in (3, 4):
        return None
    same = len(fields) == 3
    left, right = fields[0], fields[0 if same else 2]
    first, second = _positive(fields[1]), _positive(fields[-1])
    if first is None or second is None or not left or not right:
        return None
    return Entry(f"{left}/{left}_{first:04d}", f"{right}/{right}_{second:04d}", same, place)


def _positive(field: str) -> int | None:
    field = field.strip()
    return int(field) if field.isascii() and field.isdigit() and len(field) < 10 else None


def _read_json(path: Path, text: str) -> PairList:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}. Correct the file.") from error
    if isinstance(content, dict):
        content = content[_list_of_pairs(path, content)]
    if not isinstance(content, list):
        raise DataError(
            f"{path}: must be a list of [image, image, same], or an object with one such list; "
            f"it is {type(content).__name__}."
        )
    return _triples(path, ((f"item {number}", item) for number, item in enumerate(content)))


def _list_of_pairs(path: Path, content: dict[str, Any]) -> str:
    keys = [
        key
        for key, value in content.items()
        if isinstance(value, list) and value and isinstance(value[0], list) and len(value[0]) == 3
    ]
    if "test" in keys:
        return "test"
    if len(keys) != 1:
        raise DataError(
            f"{path}: {len(keys)} of its keys hold a list of [image, image, same]"
            f"{' (' + ', '.join(keys) + ')' if keys else ''}: it must be one, or one named 'test'."
        )
    return keys[0]


def _read_table(path: Path, text: str) -> PairList:
    delimiter = "," if path.suffix == ".csv" else "\t"
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        items = [(f"line {rows.line_num}", row) for row in rows if row]
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: {error}. Correct the line.") from error
    if items and len(items[0][1]) == 3 and items[0][1][2].strip().lower() == "same":
        items = items[1:]
    return _triples(path, iter(items))


def _triples(path: Path, items: Iterator[tuple[str, Any]]) -> PairList:
    entries = []
    for place, item in items:
        if (
            not isinstance(item, list)
            or len(item) != 3
            or not all(isinstance(name, str) and name.strip() for name in item[:2])
            or str(item[2]).strip().lower() not in _ANSWERS
        ):
            raise DataError(
                f"{path}: {place}: {str(item)[:120]} is not [image, image, same] with two names "
                "and 1, 0, true or false. Correct it."
            )
        same = _ANSWERS[str(item[2]).strip().lower()]
        entries.append(Entry(item[0].strip(), item[1].strip(), same, place))
    return PairList(entries, min(10, len(entries)), without_ending=False)
