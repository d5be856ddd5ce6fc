"""Projections that join two embedding sizes: what they keep, and what they do not touch."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pocketface.distill import (
    AdaDistillConfig,
    CentredProjection,
    EKDConfig,
    EmbeddingConfig,
    EmbeddingDistillation,
    InheritedConfig,
    LearnedProjection,
    Outputs,
    PrincipalProjection,
)
from pocketface.distill.losses import unit

STAGES = (torch.ones(1),)


def teacher_rows(seed: int = 0, images: int = 40, size: int = 7) -> Tensor:
    """Embeddings that lie mostly in few directions, away from the origin."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(images, size, generator=generator, dtype=torch.float64)
    return draw * torch.tensor([5.0, 3.0, 0.5, 4.0, 0.1, 0.2, 0.05]) + 0.5


def fitted(rows: Tensor, size: int = 3) -> PrincipalProjection:
    projection = PrincipalProjection(size, rows.shape[1]).double()
    projection.fit(*means(rows))
    return projection


def means(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of the directions and of their outer products, in a plain loop."""
    directions = [row / row.square().sum().sqrt() for row in rows]
    mean = sum(directions, torch.zeros(rows.shape[1])) / len(rows)
    moment = sum((torch.outer(x, x) for x in directions), torch.zeros(2 * rows.shape[1:])) / len(
        rows
    )
    return mean, moment


def test_the_principal_directions_are_those_of_a_singular_value_decomposition():
    rows = teacher_rows()
    projection = fitted(rows)
    _, values, right = np.linalg.svd(unit(rows).numpy(), full_matrices=False)
    ours = projection.basis.numpy()
    np.testing.assert_allclose(np.abs(ours), np.abs(right[:3].T), atol=1e-10)
    assert float(projection.kept) == pytest.approx((values[:3] ** 2).sum() / (values**2).sum())
    assert bool(projection.fitted)
    largest = np.abs(ours).argmax(axis=0)
    assert (ours[largest, range(3)] > 0).all()


def test_no_other_directions_keep_the_cosines_better():
    rows = teacher_rows()
    cosines = unit(rows) @ unit(rows).T

    def error(basis: Tensor) -> float:
        kept = unit(rows) @ basis
        return float((kept @ kept.T - cosines).square().sum())

    best = error(fitted(rows).basis)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(7, 3, generator=generator, dtype=torch.float64)
        assert best < error(torch.linalg.qr(draw)[0])


def test_the_teacher_is_projected_and_the_student_untouched():
    rows = teacher_rows()
    projection = fitted(rows)
    student = Outputs(torch.randn(40, 3, dtype=torch.float64), STAGES)
    ours, theirs = projection(student, Outputs(5 * rows, STAGES))
    assert ours is student
    assert theirs.stages is STAGES
    for row, got in zip(rows.tolist(), theirs.embeddings.tolist(), strict=True):
        length = sum(x * x for x in row) ** 0.5
        expected = [
            sum(x / length * float(projection.basis[i, j]) for i, x in enumerate(row))
            for j in range(3)
        ]
        assert got == pytest.approx(expected)
    assert "3 principal directions of the teacher's 7" in projection.told


def test_the_teacher_less_its_mean_is_alike_for_nobody():
    rows = teacher_rows() + 3.0
    projection = CentredProjection(7).double()
    projection.fit(*means(rows))
    student = Outputs(torch.randn(40, 7, dtype=torch.float64), STAGES)
    ours, theirs = projection(student, Outputs(5 * rows, STAGES))
    assert ours is student
    assert theirs.stages is STAGES
    mean, _ = means(rows)
    for row, got in zip(rows, theirs.embeddings, strict=True):
        assert torch.allclose(got, row / row.square().sum().sqrt() - mean)
    assert torch.allclose(
        theirs.embeddings.mean(0), torch.zeros(7, dtype=torch.float64), atol=1e-12
    )
    assert f"less their mean, which is {mean.square().sum().sqrt():.2f} long" in projection.told
    assert bool(projection.fitted)


def test_a_larger_student_has_no_principal_directions():
    with pytest.raises(ValueError, match=r"student_size must be at most 3, the teacher's. Got 4"):
        PrincipalProjection(4, 3)


def test_a_learned_projection_is_a_matrix_with_a_gradient():
    projection = LearnedProjection(3, 5, torch.Generator().manual_seed(0)).double()
    student = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    teacher = Outputs(torch.randn(4, 5, dtype=torch.float64), STAGES)
    ours, theirs = projection(Outputs(student, STAGES), teacher)
    assert theirs is teacher
    assert ours.stages is STAGES
    expected = torch.einsum("nd,de->ne", student, projection.matrix)
    assert torch.allclose(ours.embeddings, expected)

    def total(embeddings: Tensor, matrix: Tensor) -> Tensor:
        joined = torch.func.functional_call(
            projection, {"matrix": matrix}, (Outputs(embeddings), teacher)
        )
        return EmbeddingDistillation()(*joined, torch.zeros(4, dtype=torch.int64))["embedding"]

    matrix = projection.matrix.detach().requires_grad_()
    assert torch.autograd.gradcheck(total, (student, matrix))
    assert "learned projection that is not part of these weights" in projection.told


def test_it_is_drawn_from_its_generator_alone():
    before = torch.get_rng_state()
    one, two = (LearnedProjection(3, 5, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one.matrix, two.matrix)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (EKDConfig, {"loss": "ekd", "projection": "learned"}, "any two sizes fit"),
        (EmbeddingConfig, {"projection": "pca", "multi_step": True}, "fitted to one teacher"),
        (EmbeddingConfig, {"projection": "centred", "multi_step": True}, "fitted to one teacher"),
        (InheritedConfig, {"loss": "inherited", "projection": "pca"}, "teacher's head classifies"),
        (InheritedConfig, {"loss": "inherited", "projection": "centred"}, "'centred' does not"),
        (
            AdaDistillConfig,
            {"loss": "adadistill", "projection": "svd"},
            "'learned', 'pca' or 'centred'",
        ),
    ],
)
def test_where_it_cannot_be_a_recipe_is_refused(config, options, message):
    with pytest.raises(ValidationError, match=message):
        config(teacher="t", **options)
