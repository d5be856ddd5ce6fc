"""What the results of all protocols have in common: the fixed schema of `report.json`.

Each protocol's result is a frozen pydantic model with `kind`, `format`, and what `Result` asks
for. Rates are fractions between 0 and 1, times are seconds, similarities are cosines.
"""

from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from pocketface.embedding.embedder import Embedder
from pocketface.preprocessing import Preprocessing


class Record(BaseModel):
    """A part of a report: it cannot be changed, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Record):
    """A figure and its confidence interval; None where no interval was computed."""

    value: float
    low: float | None = None
    high: float | None = None


class Intervals(Record):
    """How the confidence intervals were made: what a bootstrap replicate draws, and how often."""

    drawn: Literal["people", "pairs", "templates", "identities"]
    level: float = Field(gt=0, lt=1)
    replicates: int = Field(gt=0)
    seed: int = Field(ge=0)


class MeasuredModel(Record):
    """Which network was measured; `preprocessing` is None where only its features were given."""

    name: str
    architecture: str
    embedding_size: int = Field(gt=0)
    parameters: int | None = None
    fingerprint: str
    preprocessing: Preprocessing | None = None


class Row(NamedTuple):
    """A figure's name, its value, its confidence interval and a remark; all text."""

    figure: str
    value: str
    interval: str
    remark: str


class Result(Protocol):
    """What a report, a table and the command line see of any protocol's result."""

    @property
    def kind(self) -> str:
        """The protocol: 'pairs', 'ijb', 'megaface' or 'people'."""
        ...

    @property
    def benchmark(self) -> str:
        """The set's name."""
        ...

    @property
    def model(self) -> MeasuredModel:
        """The network."""
        ...

    @property
    def embedding_seconds(self) -> float:
        """Seconds that embedding the images took."""
        ...

    def rows(self) -> list[Row]:
        """The figures as text, the protocol's own first."""
        ...

    def sentences(self) -> list[str]:
        """What was measured (first), how intervals were made, what could not be measured.

        A sentence that a reader must not miss begins with 'Warning:'.
        """
        ...

    def paper_columns(self) -> dict[str, float]:
        """Columns of the papers' table that this result fills, in per cent: {"LFW": 99.47}."""
        ...

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """The whole result as JSON."""
        ...


def measured_model(embedder: Embedder, name: str) -> MeasuredModel:
    """What `embedder` and its card say of the network that the report calls `name`."""
    card = embedder.card
    return MeasuredModel(
        name=name,
        architecture="foreign" if card is None else card.architecture,
        embedding_size=embedder.embedding_size,
        parameters=None if card is None else card.parameters,
        fingerprint=embedder.fingerprint,
        preprocessing=embedder.preprocessing,
    )


def percent(share: float) -> str:
    """A share of 1 in per cent, with the three decimals that one pair of 6,000 moves."""
    return f"{100 * share:.3f} %"


def percent_interval(estimate: Estimate) -> str:
    """The ends of an interval in per cent; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f} %"


def interval_sentence(made: Intervals | None) -> str:
    """How the intervals were made, for `Result.sentences`."""
    if made is None:
        return "No confidence intervals were computed."
    doubt = (
        " (the set does not say who is on the images; intervals are narrower than they should)"
        if made.drawn == "pairs"
        else ""
    )
    return (
        f"Intervals hold {made.level:.0%} of {made.replicates:,} bootstrap replicates that draw "
        f"{made.drawn} with replacement{doubt}; seed {made.seed}."
    )
