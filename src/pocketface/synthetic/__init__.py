"""Procedural faces: people that never lived, drawn from a seed.

`Population(seed).person(i)` is a person, `Population(seed).nuisance(i, k)` the circumstances of the
person's k-th picture; `pocketface.synthetic.render.render` (which needs torch) takes the picture.
"""

from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import FRONTAL, PROFILE, Nuisance, NuisanceRanges, Spread
from pocketface.synthetic.population import Population

__all__ = [
    "FRONTAL",
    "PROFILE",
    "Identity",
    "Nuisance",
    "NuisanceRanges",
    "Population",
    "Spread",
]
