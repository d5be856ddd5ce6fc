"""The paper's embedding loss against a plain loop and against its closed form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketface.distill import EmbeddingConfig, EmbeddingDistillation, Outputs, Partners
from pocketface.distill.losses import mean_cosine

torch.set_num_threads(1)


def pair(images: int = 6, size: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(images, size, generator=generator, dtype=torch.float64) for _ in range(2)]
    return draw[0], draw[1]


def loss_of(student: Tensor, teacher: Tensor, weight: float = 100.0) -> Tensor:
    loss = EmbeddingDistillation(weight)
    terms = loss(Outputs(student), Outputs(teacher), torch.zeros(len(student), dtype=torch.int64))
    assert list(terms) == ["embedding"]
    return terms["embedding"]


def plain_loss(student: Tensor, teacher: Tensor, weight: float) -> float:
    total, count = 0.0, 0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        length = math.sqrt(math.fsum(x * x for x in ours))
        size = math.sqrt(math.fsum(x * x for x in theirs))
        for x, y in zip(ours, theirs, strict=True):
            total += (x / length - y / size) ** 2
            count += 1
    return weight * total / count


@pytest.mark.parametrize("weight", [100.0, 0.0, 3.5])
def test_loss_equals_a_plain_loop(weight):
    student, teacher = pair()
    expected = plain_loss(student, teacher, weight)
    assert float(loss_of(student, teacher, weight)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [2, 16, 128])
def test_loss_is_two_weights_times_one_minus_cosine_over_the_dimensions(size):
    student, teacher = pair(size=size)
    cosine = float(mean_cosine(student, teacher))
    expected = 2 * 100.0 * (1 - cosine) / size
    assert float(loss_of(student, teacher)) == pytest.approx(expected, rel=1e-5)


def test_the_papers_logged_terms_and_cosines():
    # facts: 128-D, a term of 0.399 is a cosine of about .744, and 0.354 of about .774.
    for term, cosine in ((0.399, 0.744), (0.354, 0.774)):
        angle = math.acos(cosine)
        student = torch.zeros(1, 128)
        student[0, 0] = 1.0
        teacher = torch.zeros(1, 128)
        teacher[0, :2] = torch.tensor([math.cos(angle), math.sin(angle)])
        assert float(loss_of(student, teacher)) == pytest.approx(term, abs=2e-3)


def test_gradient_by_finite_differences():
    student, teacher = pair()
    assert torch.autograd.gradcheck(lambda s: loss_of(s, teacher), (student.requires_grad_(),))


@settings(deadline=None, max_examples=50)
@given(ours=st.floats(1e-2, 1e2), theirs=st.floats(1e-2, 1e2), seed=st.integers(0, 1000))
def test_lengths_do_not_matter(ours, theirs, seed):
    student, teacher = pair(seed=seed)
    scaled = loss_of(ours * student, theirs * teacher)
    assert torch.allclose(scaled, loss_of(student, teacher), rtol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_rotation_of_both_does_not_matter(seed):
    student, teacher = pair(seed=seed)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    turned = loss_of(student @ turn, teacher @ turn)
    assert torch.allclose(turned, loss_of(student, teacher), rtol=1e-9)


def test_equal_embeddings_cost_nothing():
    student, _ = pair()
    assert float(loss_of(student, 3 * student)) == pytest.approx(0, abs=1e-20)


def test_half_precision_students_are_worked_on_in_float32():
    student, teacher = pair()
    loss = loss_of(student.bfloat16(), teacher.float())
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(plain_loss(student.bfloat16(), teacher, 100.0), rel=1e-5)


def test_a_recipes_words_make_the_papers_loss(tmp_path):
    loss = EmbeddingConfig(teacher=tmp_path).create_loss(Partners(embedding_size=4))
    assert isinstance(loss, EmbeddingDistillation)
    assert loss.weight == 100.0
    assert loss.needs_stages is False


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"weight must be at least 0. Got -1.0 instead"):
        EmbeddingDistillation(-1.0)
