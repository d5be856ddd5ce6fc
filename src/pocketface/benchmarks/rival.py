"""The other network of a paired comparison, as its report folder knows it."""

import json
from dataclasses import dataclass
from pathlib import Path

from pocketface.benchmarks.comparison import Comparison, check_same_draws, compare
from pocketface.benchmarks.replicates import Replicates, read_replicates
from pocketface.benchmarks.result import Result
from pocketface.errors import DataError, RecipeError


@dataclass(frozen=True)
class Rival:
    """A network's name and the replicates of its figures."""

    name: str
    replicates: Replicates

    @classmethod
    def load(cls, report: Path, *, replicates: int, seed: int) -> "Rival":
        """Read what lies beside `report`, and check that a run with these options fits it.

        Raises DataError if the report or its replicates are missing or broken or of two runs,
        RecipeError if a run with these options would draw other replicates.
        """
        if not replicates:
            raise RecipeError("--against needs --replicates above 0: they make its intervals.")
        try:
            model = json.loads(report.read_text(encoding="utf-8"))["model"]
            name, fingerprint = str(model["name"]), str(model["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{report} is not a report.json of `pocketface evaluate`: {error!r}."
            ) from error
        kept = read_replicates(report)
        if kept.model != fingerprint:
            raise DataError(
                f"the replicates beside {report} belong to another network than the report. "
                "Measure that network again."
            )
        check_same_draws(kept, replicates=replicates, seed=seed)
        return cls(name, kept)

    def compare(self, result: Result, ours: Replicates | None) -> Comparison:
        """Compare `result`, whose replicates are `ours`, with this network.

        Raises what `comparison.compare` raises, DataError if the result kept no replicates.
        """
        if ours is None:
            raise DataError(f"{result.benchmark} keeps no replicates to compare with.")
        return compare(result.benchmark, result.model.name, ours, self.name, self.replicates)
