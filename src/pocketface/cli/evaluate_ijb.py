"""`pocketface evaluate` on IJB-B or IJB-C."""

from pathlib import Path
from typing import TYPE_CHECKING

from pocketface.errors import DataError

if TYPE_CHECKING:
    from pocketface.benchmarks.cases import CaseGroup
    from pocketface.benchmarks.result import Result
    from pocketface.embedding import Embedder


def evaluate(
    embedder: "Embedder",
    folder: Path,
    *,
    out: Path,
    flip: bool,
    replicates: int,
    seed: int,
    model: str,
) -> "tuple[Result, dict[str, bytes], list[CaseGroup]]":
    """Measure `embedder`, called `model` in the report, on the benchmark in `folder`."""
    raise DataError(f"{folder}: IJB-B or IJB-C cannot be measured yet.")
