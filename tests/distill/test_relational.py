"""Relational distillation against plain loops over pairs and triples."""

import math
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketface.distill import Outputs, Partners, RelationalConfig, RelationalDistillation

NOBODY = torch.full((6,), -1)
Vector = list[float]


def draw(seed: int, images: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.randn(images, n, generator=generator, dtype=torch.float64) for n in (3, 5)]
    return draws[0], draws[1]


def units(embeddings: Tensor) -> list[Vector]:
    rows = embeddings.tolist()
    return [[x / math.sqrt(math.fsum(y * y for y in row)) for x in row] for row in rows]


def minus(a: Vector, b: Vector) -> Vector:
    return [x - y for x, y in zip(a, b, strict=True)]


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def huber(a: float, b: float) -> float:
    apart = abs(a - b)
    return 0.5 * apart**2 if apart < 1 else apart - 0.5


def plain_distances(rows: list[Vector]) -> list[float]:
    found = [math.sqrt(dot(minus(a, b), minus(a, b))) for a, b in combinations(rows, 2)]
    mean = math.fsum(found) / len(found)
    return [each / mean for each in found]


def plain_angles(rows: list[Vector]) -> list[float]:
    found = []
    for i, j, k in permutations(range(len(rows)), 3):
        left, right = minus(rows[i], rows[j]), minus(rows[k], rows[j])
        found.append(dot(left, right) / math.sqrt(dot(left, left) * dot(right, right)))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_terms_equal_plain_loops(seed):
    student, teacher = draw(seed)
    terms = RelationalDistillation(3.0, 7.0)(Outputs(student), Outputs(teacher), NOBODY)
    for name, weight, relate in (("distance", 3.0, plain_distances), ("angle", 7.0, plain_angles)):
        pairs = list(zip(relate(units(student)), relate(units(teacher)), strict=True))
        assert len(pairs) == {"distance": 15, "angle": 120}[name]
        expected = weight * math.fsum(huber(a, b) for a, b in pairs) / len(pairs)
        assert float(terms[name]) == pytest.approx(expected, rel=1e-10), name


def test_relations_far_apart_count_linearly():
    # Two that are close for the teacher and opposite for the student, among others.
    student, teacher = draw(0)
    teacher[1] = teacher[0] + 1e-3
    student[1] = -student[0]
    pairs = zip(plain_distances(units(student)), plain_distances(units(teacher)), strict=True)
    assert max(abs(a - b) for a, b in pairs) > 1
    terms = RelationalDistillation(1.0, 1.0)(Outputs(student), Outputs(teacher), NOBODY)
    pairs = zip(plain_distances(units(student)), plain_distances(units(teacher)), strict=True)
    assert float(terms["distance"]) == pytest.approx(
        math.fsum(huber(a, b) for a, b in pairs) / 15, rel=1e-7
    )


def test_angles_are_taken_among_images_spread_over_the_batch():
    student, teacher = draw(0, images=10)
    some = RelationalDistillation(angle_images=4)(Outputs(student), Outputs(teacher), NOBODY)
    rows = [0, 2, 5, 7]
    alone = RelationalDistillation()(Outputs(student[rows]), Outputs(teacher[rows]), NOBODY)
    assert float(some["angle"]) == pytest.approx(float(alone["angle"]), rel=1e-12)
    whole = RelationalDistillation()(Outputs(student), Outputs(teacher), NOBODY)
    assert float(some["distance"]) == float(whole["distance"])


def test_gradient_by_finite_differences():
    student, teacher = draw(1)
    loss = RelationalDistillation(2.0, 3.0)
    assert torch.autograd.gradcheck(
        lambda s: sum(loss(Outputs(s), Outputs(teacher), NOBODY).values()),
        (student.requires_grad_(),),
    )


def test_two_images_of_one_embedding_pull_with_finite_force():
    student, teacher = draw(0)
    student[3] = student[2]
    student.requires_grad_()
    sum(RelationalDistillation()(Outputs(student), Outputs(teacher), NOBODY).values()).backward()
    assert student.grad.abs().max() < 1e4


@settings(deadline=None, max_examples=30)
@given(ours=st.floats(1e-2, 1e2), theirs=st.floats(1e-2, 1e2), seed=st.integers(0, 1000))
def test_lengths_do_not_matter(ours, theirs, seed):
    student, teacher = draw(seed)
    loss = RelationalDistillation()
    scaled = loss(Outputs(ours * student), Outputs(theirs * teacher), NOBODY)
    for name, term in loss(Outputs(student), Outputs(teacher), NOBODY).items():
        assert torch.allclose(scaled[name], term, rtol=1e-7), name


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_rotation_of_either_does_not_matter(seed):
    student, teacher = draw(seed)
    turns = [torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for n in (3, 5)]
    loss = RelationalDistillation()
    turned = loss(Outputs(student @ turns[0]), Outputs(teacher @ turns[1]), NOBODY)
    for name, term in loss(Outputs(student), Outputs(teacher), NOBODY).items():
        assert torch.allclose(turned[name], term, rtol=1e-7), name


def test_equal_networks_agree():
    student, _ = draw(0)
    terms = RelationalDistillation()(Outputs(student), Outputs(2 * student), NOBODY)
    assert float(sum(terms.values())) == pytest.approx(0, abs=1e-15)


def test_a_recipes_words_make_the_loss():
    config = RelationalConfig(teacher="t", loss="relational", angle_images=12)
    assert not config.compares_sizes
    loss = config.create_loss(Partners(embedding_size=4))
    assert (loss.distance_weight, loss.angle_weight, loss.angle_images) == (25.0, 50.0, 12)
