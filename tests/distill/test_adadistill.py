"""AdaDistill: its centres image by image, its loss, and what does not matter to it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketface.distill import AdaDistill, AdaDistillConfig, Outputs, Partners
from pocketface.heads import ArcFace, CosFace

PEOPLE, SIZE = 5, 6
Vector = list[float]


def draw(seed: int, images: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Student, teacher, labels; the student resembles the teacher somewhat."""
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(images, SIZE, generator=generator, dtype=torch.float64)
    noise = torch.randn(images, SIZE, generator=generator, dtype=torch.float64)
    labels = torch.randint(PEOPLE, (images,), generator=generator)
    return 2 * (teacher + noise), 3 * teacher, labels


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def scaled(a: Vector) -> Vector:
    length = math.sqrt(dot(a, a))
    return [x / length for x in a]


def plain_centres(
    student: Tensor, teacher: Tensor, labels: Tensor, before: dict[int, Vector], by_centre: bool
) -> dict[int, Vector]:
    """One image after the other, number by number; who was never seen has no centre."""
    centres = dict(before)
    for ours, theirs, person in zip(
        student.tolist(), teacher.tolist(), labels.tolist(), strict=True
    ):
        target = scaled(theirs)
        if person not in centres:
            centres[person] = target
            continue
        kept = dot(scaled(ours), target)
        if by_centre:
            kept *= dot(centres[person], target)
        kept = min(1.0, max(1e-6, kept))
        mixed = zip(centres[person], target, strict=True)
        centres[person] = scaled([kept * w + (1 - kept) * t for w, t in mixed])
    return centres


@pytest.mark.parametrize("by_centre", [True, False])
def test_centres_move_image_by_image(by_centre):
    loss = AdaDistill(SIZE, PEOPLE, by_centre=by_centre).double()
    centres: dict[int, Vector] = {}
    for step in range(4):
        student, teacher, labels = draw(step)
        loss(Outputs(student), Outputs(teacher), labels)
        centres = plain_centres(student, teacher, labels, centres, by_centre)
        for person in range(PEOPLE):
            expected = centres.get(person, [0.0] * SIZE)
            got = loss.classifier.kernel[:, person].tolist()
            assert got == pytest.approx(expected, abs=1e-12), (step, person)
    assert len(centres) == PEOPLE


def test_a_student_that_agrees_and_a_centre_that_agrees_keep_the_centre():
    student, teacher, labels = draw(0, images=1)
    loss = AdaDistill(SIZE, PEOPLE).double()
    loss(Outputs(student), Outputs(teacher), labels)
    before = loss.classifier.kernel.clone()
    loss(Outputs(teacher), Outputs(teacher), labels)
    assert torch.allclose(loss.classifier.kernel, before)
    # Against the teacher: the centre is where the teacher is now.
    other = draw(1, images=1)[1]
    loss(Outputs(-other), Outputs(other), labels)
    now = loss.classifier.kernel[:, labels[0]]
    assert torch.allclose(now, other[0] / other[0].norm(), atol=1e-5)


@pytest.mark.parametrize(("kind", "head"), [("arcface", ArcFace), ("cosface", CosFace)])
def test_the_loss_is_the_margin_softmax_against_the_moved_centres(kind, head):
    loss = AdaDistill(SIZE, PEOPLE, kind=kind).double()
    student, teacher, labels = draw(0)
    terms = loss(Outputs(student), Outputs(teacher), labels)
    assert list(terms) == ["adadistill"]
    margin = {"arcface": 0.45, "cosface": 0.35}[kind]
    plain = head(SIZE, PEOPLE, scale=64.0, margin=margin).double()
    with torch.no_grad():
        plain.kernel.copy_(loss.classifier.kernel)
    assert isinstance(loss.classifier, head)
    expected = plain(student, labels).detach()
    assert float(terms["adadistill"]) == pytest.approx(float(expected), rel=1e-12)


def test_nothing_in_it_is_trained():
    loss = AdaDistill(SIZE, PEOPLE)
    assert not [each for each in loss.parameters() if each.requires_grad]
    student, teacher, labels = draw(0)
    student = student.requires_grad_()
    loss(Outputs(student), Outputs(teacher), labels)["adadistill"].backward()
    assert student.grad.abs().max() > 0
    assert loss.classifier.kernel.grad is None
    assert set(loss.state_dict()) == {"classifier.kernel"}


def test_centres_stay_in_evaluation_mode():
    student, teacher, labels = draw(0)
    loss = AdaDistill(SIZE, PEOPLE).double()
    loss(Outputs(student), Outputs(teacher), labels)
    before = loss.classifier.kernel.clone()
    loss.eval()(Outputs(student), Outputs(draw(1)[1]), labels)
    assert torch.equal(loss.classifier.kernel, before)


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_gradient_by_finite_differences(kind):
    student, teacher, labels = draw(3)
    loss = AdaDistill(SIZE, PEOPLE, kind=kind, scale=8.0).double()
    loss(Outputs(student), Outputs(teacher), labels)
    loss.eval()
    assert torch.autograd.gradcheck(
        lambda s: loss(Outputs(s), Outputs(teacher), labels)["adadistill"],
        (student.requires_grad_(),),
    )


@settings(deadline=None, max_examples=30)
@given(ours=st.floats(1e-2, 1e2), theirs=st.floats(1e-2, 1e2), seed=st.integers(0, 1000))
def test_lengths_do_not_matter(ours, theirs, seed):
    found = []
    for a, b in ((1.0, 1.0), (ours, theirs)):
        loss = AdaDistill(SIZE, PEOPLE).double()
        for step in range(2):
            student, teacher, labels = draw(seed + step)
            terms = loss(Outputs(a * student), Outputs(b * teacher), labels)
        found.append(terms["adadistill"])
    assert torch.allclose(*found, rtol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_rotation_of_both_turns_the_centres_and_nothing_else(seed):
    turn, _ = torch.linalg.qr(torch.randn(SIZE, SIZE, dtype=torch.float64))
    found, kernels = [], []
    for turned in (torch.eye(SIZE, dtype=torch.float64), turn):
        loss = AdaDistill(SIZE, PEOPLE).double()
        for step in range(2):
            student, teacher, labels = draw(seed + step)
            terms = loss(Outputs(student @ turned), Outputs(teacher @ turned), labels)
        found.append(terms["adadistill"])
        kernels.append(loss.classifier.kernel)
    assert torch.allclose(*found, rtol=1e-9)
    assert torch.allclose(turn.T @ kernels[0], kernels[1])


def test_a_recipes_words_make_the_papers_loss():
    config = AdaDistillConfig(teacher="t", loss="adadistill")
    loss = config.create_loss(Partners(embedding_size=SIZE, people=PEOPLE))
    assert config.replaces_head
    assert isinstance(loss.classifier, ArcFace)
    assert (loss.classifier.scale, loss.classifier.margin) == (64.0, 0.45)
    assert loss.by_centre
    assert tuple(loss.classifier.kernel.shape) == (SIZE, PEOPLE)
    cosine = AdaDistillConfig(teacher="t", loss="adadistill", kind="cosface", margin=0.2)
    assert cosine.create_loss(Partners(SIZE, people=PEOPLE)).classifier.margin == 0.2
