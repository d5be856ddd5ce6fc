"""The distribution of a network's latency."""

import statistics

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pocketface.profile.turns import Series, is_settled, median_interval


class Latency(BaseModel):
    """How long an image takes: milliseconds of a run, over the images that it takes at once.

    Attributes:
        runs, turns: how many there were.
        minimum, p5, p25, median, p75, p95, maximum: over all runs, on the clock.
        median_low, median_high: ends of a 95 % interval of the median, from the turns' medians.
        settled: whether these are within 2 % of the median.
        cpu: median of the processor's time, all threads together. With one thread it is what the
            clock would show on a machine with nothing else to do.
        images_per_second: at the median.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: int = Field(gt=0)
    turns: int = Field(gt=0)
    minimum: float = Field(gt=0)
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float
    median_low: float
    median_high: float
    settled: bool
    cpu: float = Field(ge=0)
    images_per_second: float


def latency_of(series: Series, batch: int) -> Latency:
    """The distribution over all runs of `series`, each of `batch` images.

    Raises ValueError if there is no run.
    """
    runs = [run for turn in series.turns for run in turn]
    if not runs:
        raise ValueError("nothing was run")
    scale = 1e3 / batch
    wall = scale * np.array([run.wall for run in runs])
    medians = [scale * statistics.median(run.wall for run in turn) for turn in series.turns]
    low, high = median_interval(medians)
    p5, p25, median, p75, p95 = (float(p) for p in np.percentile(wall, (5, 25, 50, 75, 95)))
    return Latency(
        runs=len(runs),
        turns=len(medians),
        minimum=float(wall.min()),
        p5=p5,
        p25=p25,
        median=median,
        p75=p75,
        p95=p95,
        maximum=float(wall.max()),
        median_low=min(low, median),
        median_high=max(high, median),
        settled=is_settled(medians),
        cpu=scale * statistics.median(run.cpu for run in runs),
        images_per_second=1e3 / median,
    )
