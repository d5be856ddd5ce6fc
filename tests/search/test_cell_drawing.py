"""Cells are drawn whole, alike each time, and to the endings that are known."""

import re
from collections import Counter

import pytest
from PIL import Image

from pocketface.errors import RecipeError
from pocketface.models.genotype import CIFAR10, FACES
from pocketface.search.cell_drawing import draw_cells


@pytest.mark.parametrize("genotype", [FACES, CIFAR10])
def test_an_svg_names_every_primitive_and_is_the_same_again(tmp_path, genotype):
    draw_cells(genotype, tmp_path / "cells.svg")
    drawn = (tmp_path / "cells.svg").read_text()
    draw_cells(genotype, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn
    # Letters are drawn as curves; each text stands in a comment before them.
    named = Counter(re.findall(r"<!-- (.*?) -->", drawn))
    wanted = Counter(name for name, _ in (*genotype.normal, *genotype.reduce))
    assert {name: named[name] for name in wanted} == wanted
    assert named["Normal cell"] == named["Reduction cell"] == 1


def test_a_png_can_be_opened(tmp_path):
    draw_cells(FACES, tmp_path / "cells.png")
    with Image.open(tmp_path / "cells.png") as picture:
        picture.load()
        assert min(picture.size) > 500


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"\.png or \.svg"):
        draw_cells(FACES, tmp_path / "cells.gif")
    assert not list(tmp_path.iterdir())
