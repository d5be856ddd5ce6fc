"""The inherited classifier: the teacher's margin softmax, whose centres never move."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketface.distill import (
    EmbeddingDistillation,
    InheritedClassifier,
    InheritedConfig,
    Outputs,
    Partners,
)
from pocketface.heads import ArcFace

LABELS = torch.tensor([2, 0, 1, 2])


def head() -> ArcFace:
    generator = torch.Generator().manual_seed(1)
    return ArcFace(5, 3, scale=8.0, margin=0.3, generator=generator).double()


def draw(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.randn(4, 5, generator=generator, dtype=torch.float64) for _ in range(2)]
    return draws[0], draws[1]


@pytest.mark.parametrize("weight", [0.0, 30.0])
def test_terms_are_the_heads_loss_and_the_embeddings(weight):
    student, teacher = draw()
    terms = InheritedClassifier(head(), weight)(Outputs(student), Outputs(teacher), LABELS)
    expected = {"inherited": head()(student, LABELS).detach()}
    if weight:
        expected |= EmbeddingDistillation(weight)(Outputs(student), Outputs(teacher), LABELS)
    assert terms.keys() == expected.keys()
    for name, term in terms.items():
        assert float(term) == pytest.approx(float(expected[name]), rel=1e-12)


def test_the_head_is_frozen_and_kept():
    loss = InheritedClassifier(head())
    assert not any(each.requires_grad for each in loss.parameters())
    assert torch.equal(loss.state_dict()["classifier.kernel"], head().kernel)


def test_gradient_by_finite_differences():
    student, teacher = draw()
    loss = InheritedClassifier(head(), 10.0)
    assert torch.autograd.gradcheck(
        lambda s: sum(loss(Outputs(s), Outputs(teacher), LABELS).values()),
        (student.requires_grad_(),),
    )


@settings(deadline=None, max_examples=20)
@given(ours=st.floats(1e-2, 1e2), theirs=st.floats(1e-2, 1e2), seed=st.integers(0, 100))
def test_lengths_do_not_matter(ours, theirs, seed):
    student, teacher = draw(seed)
    loss = InheritedClassifier(head(), 10.0)
    scaled = loss(Outputs(ours * student), Outputs(theirs * teacher), LABELS)
    for name, term in loss(Outputs(student), Outputs(teacher), LABELS).items():
        assert torch.allclose(scaled[name], term, rtol=1e-9)


def test_without_a_head_or_with_a_negative_weight_there_is_no_loss():
    config = InheritedConfig(teacher="t", loss="inherited")
    with pytest.raises(ValueError, match="needs the teacher's head"):
        config.create_loss(Partners(embedding_size=5))
    with pytest.raises(ValueError, match=r"weight must be at least 0. Got -1.0"):
        InheritedClassifier(head(), -1.0)
    assert config.create_loss(Partners(5, head=head())).weight == 0.0
