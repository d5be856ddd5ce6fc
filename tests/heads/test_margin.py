"""ArcFace and CosFace against plain loops in Python's own floats."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from margin_oracle import plain_loss
from torch import Tensor

from pocketface.heads import ArcFace, CosFace, HeadConfig, MarginHead, create_head

HEADS = {"arcface": ArcFace, "cosface": CosFace}


def make(kind: str, *, scale: float = 16.0, margin: float = 0.5, classes: int = 7) -> MarginHead:
    generator = torch.Generator().manual_seed(5)
    head = HEADS[kind](6, classes, scale=scale, margin=margin, generator=generator)
    return head.double()


def batch(images: int = 9, classes: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(images, 6, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(0, classes, (images,), generator=generator)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(("scale", "margin"), [(64.0, 0.5), (16.0, 0.2), (1.0, 0.0), (30.0, 1.5)])
def test_loss_equals_a_plain_loop(kind, scale, margin):
    head = make(kind, scale=scale, margin=margin)
    embeddings, labels = batch()
    expected = plain_loss(kind, embeddings, head.kernel, labels, scale, margin)
    assert float(head(embeddings, labels).detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", HEADS)
def test_loss_where_theta_plus_margin_is_beyond_pi(kind):
    head = make(kind)
    _, labels = batch()
    # Nearly opposite to the own centre: theta is about pi - 0.2, beyond pi - m.
    own = torch.nn.functional.normalize(head.kernel.detach().t()[labels], dim=1)
    aside = torch.nn.functional.normalize(batch(seed=1)[0], dim=1)
    embeddings = -own + 0.1 * aside
    cosine = head.cosines(embeddings).gather(1, labels.unsqueeze(1))
    assert bool((cosine.arccos() + head.margin > math.pi).all())
    expected = plain_loss(kind, embeddings, head.kernel, labels, head.scale, head.margin)
    assert float(head(embeddings, labels).detach()) == pytest.approx(expected, rel=1e-12)


def test_arcface_at_its_two_branches_in_numbers():
    head = ArcFace(2, 2, scale=64, margin=0.5)
    cosine = torch.tensor([0.5, -0.5, -0.95], dtype=torch.float64)
    assert head.target_cosine(cosine).tolist() == pytest.approx(
        [
            math.cos(math.acos(0.5) + 0.5),
            math.cos(math.acos(-0.5) + 0.5),
            -0.95 - 0.5 * math.sin(math.pi - 0.5),
        ]
    )


def test_arcface_target_falls_with_the_angle_all_the_way():
    head = ArcFace(2, 2, scale=1, margin=0.5)
    theta = torch.linspace(0, math.pi, 2000, dtype=torch.float64)
    target = head.target_cosine(theta.cos())
    # At the switch itself the published continuation jumps, from -1 to -0.878 - 0.240.
    steps = target.diff()
    assert bool((steps < 0).all())


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cosines_of_exactly_one_have_finite_loss_and_gradient(kind, sign):
    head = HEADS[kind](4, 3, scale=64, margin=0.5)
    with torch.no_grad():
        head.kernel.copy_(torch.eye(4)[:, :3])
    embeddings = (sign * torch.eye(4)[:3]).requires_grad_()
    labels = torch.arange(3)
    assert head.cosines(embeddings).diagonal().tolist() == [sign] * 3
    loss = head(embeddings, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(head.kernel.grad).all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("beyond", [False, True])
def test_gradients_by_finite_differences(kind, beyond):
    head = make(kind, classes=4)
    embeddings, labels = batch(5, 4)
    if beyond:
        embeddings = -head.kernel.detach().t()[labels] + 0.002 * embeddings
    kernel = head.kernel.detach().clone().requires_grad_()

    def loss(embeddings: Tensor, kernel: Tensor) -> Tensor:
        return torch.func.functional_call(head, {"kernel": kernel}, (embeddings, labels))

    assert torch.autograd.gradcheck(loss, (embeddings.requires_grad_(), kernel), eps=1e-7)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_embeddings_are_worked_on_in_float32(kind, dtype):
    head = make(kind).float()
    embeddings, labels = batch()
    narrow = embeddings.to(dtype)
    loss = head(narrow, labels)
    assert loss.dtype == torch.float32
    # Only the rounding of the input is lost, nothing on the way.
    expected = plain_loss(kind, narrow.double(), head.kernel, labels, head.scale, head.margin)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", HEADS)
def test_autocast_does_not_narrow_the_cosines(kind):
    head = make(kind).float()
    embeddings, labels = batch()
    plain = head(embeddings.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(embeddings.float(), labels), plain)


@pytest.mark.parametrize("kind", HEADS)
@settings(deadline=None, max_examples=30)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_the_length_of_an_embedding_does_not_matter(kind, scale, seed):
    head = make(kind)
    embeddings, labels = batch(seed=seed)
    assert torch.allclose(head(scale * embeddings, labels), head(embeddings, labels), rtol=1e-10)


@pytest.mark.parametrize("kind", HEADS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_a_margin_never_helps(kind, seed):
    embeddings, labels = batch(seed=seed)
    assert make(kind, margin=0.3)(embeddings, labels) > make(kind, margin=0.0)(embeddings, labels)


@pytest.mark.parametrize("kind", HEADS)
def test_without_a_margin_it_is_plain_softmax_of_cosines(kind):
    head = make(kind, margin=0.0)
    embeddings, labels = batch()
    logits = head.scale * torch.nn.functional.cosine_similarity(
        embeddings.unsqueeze(1), head.kernel.t().unsqueeze(0), dim=2
    )
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.allclose(head(embeddings, labels), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_images_of_nobody_known_are_left_out(kind):
    generator = torch.Generator().manual_seed(2)
    head = HEADS[kind](5, 4, scale=16.0, margin=0.3, generator=generator).double()
    embeddings = torch.randn(6, 5, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([2, -1, 0, -1, -1, 3])
    known = labels >= 0
    loss = head(embeddings, labels)
    assert float(loss.detach()) == float(head(embeddings[known], labels[known]).detach())
    loss.backward()
    assert (embeddings.grad[~known] == 0).all()
    assert (embeddings.grad[known] != 0).any(1).all()
    embeddings.grad = head.kernel.grad = None
    nobody = head(embeddings, torch.full((6,), -1))
    nobody.backward()
    assert float(nobody.detach()) == 0.0
    assert (embeddings.grad == 0).all()
    assert (head.kernel.grad == 0).all()


def test_the_published_heads_name_and_shape():
    head = create_head(HeadConfig(), 128, 11)
    assert {name: tuple(value.shape) for name, value in head.state_dict().items()} == {
        "kernel": (128, 11)
    }
    assert (head.scale, head.margin, type(head)) == (64.0, 0.5, ArcFace)


def test_centres_are_drawn_from_the_given_generator():
    one, two = (
        create_head(HeadConfig(kind="cosface"), 64, 500, torch.Generator().manual_seed(3)).kernel
        for _ in range(2)
    )
    assert torch.equal(one, two)
    assert float(one.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert abs(float(one.detach().mean())) < 3e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_size": 0}, "Got 0 and 5"),
        ({"classes": 0}, "Got 8 and 0"),
        ({"scale": 0.0}, "scale must be a float above 0. Got 0.0"),
        ({"scale": math.nan}, "scale must be a float above 0. Got nan"),
        ({"margin": -0.1}, r"margin must be a float in \[0, pi/2\). Got -0.1"),
        ({"margin": 2.0}, r"margin must be a float in \[0, pi/2\). Got 2.0"),
        ({"margin": math.nan}, "Got nan"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    given = {"embedding_size": 8, "classes": 5, "scale": 64.0, "margin": 0.5} | arguments
    sizes = given.pop("embedding_size"), given.pop("classes")
    with pytest.raises(ValueError, match=message):
        ArcFace(*sizes, **given)
