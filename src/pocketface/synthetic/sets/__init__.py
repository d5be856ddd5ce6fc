"""Data sets of synthetic people in the field's own file formats."""

from pocketface.synthetic.sets.catalogue import SET_NAMES, choose_sets
from pocketface.synthetic.sets.make import Made, make_sets

__all__ = ["SET_NAMES", "Made", "choose_sets", "make_sets"]
