"""How the pictures of each set are taken: what is held alike and what is driven apart.

All figures are ours. A real set isolates one difficulty by choosing among photographs; here the
difficulty is drawn and everything else is left as it is in press photographs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pocketface.synthetic.nuisance import FRONTAL, PROFILE, NuisanceRanges, Spread

Fixed = tuple[tuple[str, float], ...]
"""Fields of a nuisance that are set, not drawn: (name, value) each."""

PRESS = NuisanceRanges()
"""Press photographs."""

TRAINING = replace(PRESS, yaw=Spread(0, 28, -88, 88), pitch=Spread(0, 9, -30, 30), chance_mask=0.02)
"""A training set: press photographs, and faces turned as far as any test set has them."""

_ANY_PITCH = replace(PRESS, pitch=Spread(0, 10, -30, 30))

YOUNGEST, OLDEST = 18.0, 80.0
"""Ages of the people in years."""


@dataclass(frozen=True)
class TemplateRanges:
    """Circumstances of a set of templates: of its stills and of the frames of its videos."""

    still: NuisanceRanges
    frame: NuisanceRanges


_STILL = replace(
    PRESS, yaw=Spread(0, 22, -80, 80), pitch=Spread(0, 9, -28, 28), roll=Spread(0, 9, -35, 35)
)
_FRAME = replace(
    _STILL,
    yaw=Spread(0, 28, -88, 88),
    blur=Spread(1.3, 0.6, 0.6, 3.5),
    resolution=Spread(80, 28, 32, 112),
    noise=Spread(4, 2.5, 0, 14),
    jpeg=Spread(62, 14, 20, 95),
)

TEMPLATES: Mapping[str, TemplateRanges] = {
    "ijbb": TemplateRanges(_STILL, _FRAME),
    # IJB-C adds people who are partly hidden: masks, hats and dark glasses.
    "ijbc": TemplateRanges(
        replace(_STILL, yaw=Spread(0, 26, -88, 88), chance_mask=0.06, chance_hat=0.10),
        replace(_FRAME, yaw=Spread(0, 32, -90, 90), chance_mask=0.06, chance_hat=0.10),
    ),
}


class Side(NamedTuple):
    """How one picture of a pair is taken."""

    ranges: NuisanceRanges
    fixed: Fixed


@dataclass(frozen=True)
class PairKind:
    """What a pair set isolates.

    `sides` draws how the two pictures of one pair are taken, the same way for one person and
    for two. If `alike`, the two people of a pair have the same sex and nearly the same skin.
    """

    title: str
    sides: Callable[[np.random.Generator], tuple[Side, Side]]
    alike: bool = False


def ages_at_one_time(rng: np.random.Generator) -> tuple[Fixed, Fixed]:
    """Two ages a few years apart, anywhere in a life."""
    middle = rng.uniform(YOUNGEST + 2, OLDEST - 10)
    first, second = np.clip(middle + 2.5 * rng.standard_normal(2), YOUNGEST, OLDEST).tolist()
    return (("age", first),), (("age", second),)


def _mixed(rng: np.random.Generator) -> tuple[Side, Side]:
    first, second = ages_at_one_time(rng)
    return Side(PRESS, first), Side(PRESS, second)


def _age_gap(rng: np.random.Generator) -> tuple[Side, Side]:
    gap = float(np.clip(20 + 6 * rng.standard_normal(), 10, 40))
    return _years_apart(rng, gap)


def _age_gap_of_30(rng: np.random.Generator) -> tuple[Side, Side]:
    return _years_apart(rng, 30.0)


def _years_apart(rng: np.random.Generator, gap: float) -> tuple[Side, Side]:
    young = float(rng.uniform(YOUNGEST, min(50.0, OLDEST - gap)))
    sides = Side(PRESS, (("age", young),)), Side(PRESS, (("age", young + gap),))
    return sides if rng.random() < 0.5 else sides[::-1]


def _pose_gap(rng: np.random.Generator) -> tuple[Side, Side]:
    first_age, second_age = ages_at_one_time(rng)
    gap = rng.uniform(40, 75)
    first = rng.uniform(-80, 80 - gap)
    turned = (float(first), float(first + gap))
    left, right = turned if rng.random() < 0.5 else turned[::-1]
    return (
        Side(_ANY_PITCH, (*first_age, ("yaw", left))),
        Side(_ANY_PITCH, (*second_age, ("yaw", right))),
    )


def _frontal_profile(rng: np.random.Generator) -> tuple[Side, Side]:
    first, second = ages_at_one_time(rng)
    return Side(FRONTAL, first), Side(PROFILE, second)


def _frontal_frontal(rng: np.random.Generator) -> tuple[Side, Side]:
    first, second = ages_at_one_time(rng)
    return Side(FRONTAL, first), Side(FRONTAL, second)


PAIRS: Mapping[str, PairKind] = {
    "lfw": PairKind("press photographs, mixed", _mixed),
    "calfw": PairKind("10 to 40 years apart, people alike", _age_gap, alike=True),
    "cplfw": PairKind("40 to 75 degrees apart, people alike", _pose_gap, alike=True),
    "cfp_fp": PairKind("frontal against profile", _frontal_profile),
    "cfp_ff": PairKind("frontal against frontal", _frontal_frontal),
    "agedb_30": PairKind("30 years apart", _age_gap_of_30),
}
"""The pair sets by the names of their files."""
