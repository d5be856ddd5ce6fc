"""A sharded head in one process: against a plain loop, and against the head that is whole."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from margin_oracle import plain_loss
from pydantic import ValidationError
from torch import Tensor

from pocketface.heads import (
    HeadConfig,
    MarginHead,
    ShardedHead,
    create_head,
    create_sharded_head,
    sharded_softmax,
)
from pocketface.heads import shard as shards

torch.set_num_threads(1)

KINDS = ["arcface", "cosface"]


def both(
    kind: str, size: int = 6, classes: int = 7, *, sample: float = 1.0, **options: float
) -> tuple[MarginHead, ShardedHead]:
    """A head that is whole and one that is not, from the same random numbers, in float64."""
    plain = HeadConfig(kind=kind, **{"scale": 16.0, "margin": 0.4, **options})
    config = plain.model_copy(update={"sharded": True, "sample": sample})
    whole = create_head(plain, size, classes, torch.Generator().manual_seed(5))
    part = create_sharded_head(config, size, classes, torch.Generator().manual_seed(5), seed=3)
    return whole.double(), part.double()


def batch(images: int = 9, classes: int = 7, size: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(images, size, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(-1, classes, (images,), generator=generator)


def gradients(
    head: MarginHead | ShardedHead, embeddings: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, gradient of the embeddings, and that of the kernel (D, C)."""
    embeddings = embeddings.clone().requires_grad_()
    (parameter,) = head.parameters()
    parameter.grad = None
    loss = head(embeddings, labels)
    loss.backward()
    if isinstance(head, ShardedHead):
        rows = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        return loss.detach(), embeddings.grad, rows.T
    return loss.detach(), embeddings.grad, parameter.grad


def near(got: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Whether two tensors are the same but for the rounding of their larger numbers."""
    largest = max(1.0, float(wanted.abs().max()))
    return got.dtype == wanted.dtype and float((got - wanted).abs().max()) <= tolerance * largest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scale", "margin"), [(64.0, 0.5), (16.0, 0.2), (1.0, 0.0), (30.0, 1.5)])
def test_loss_equals_a_plain_loop(kind, scale, margin):
    _, head = both(kind, scale=scale, margin=margin)
    embeddings, labels = batch()
    expected = plain_loss(kind, embeddings, head.centres.detach().T, labels, scale, margin)
    assert float(head(embeddings, labels).detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(
    images=st.integers(1, 12),
    classes=st.integers(1, 40),
    size=st.integers(1, 9),
    block=st.integers(1, 200),
    kept=st.sampled_from([0, 2**20]),
    scale=st.floats(0.5, 64),
    margin=st.floats(0, 1.5),
    seed=st.integers(0, 1000),
)
def test_it_is_the_whole_head(kind, images, classes, size, block, kept, scale, margin, seed):
    """Also where the logits are computed in blocks."""
    whole, part = both(kind, size, classes, scale=scale, margin=margin)
    embeddings, labels = batch(images, classes, size, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharded_softmax, "BLOCK", block)
        patch.setattr(sharded_softmax, "LOGITS", kept)
        found = gradients(part, embeddings, labels)
    expected = gradients(whole, embeddings, labels)
    if size == 1:
        # A direction of one number cannot turn: its gradient is 0 but for rounding.
        assert all(float(each.abs().max()) < 1e-8 for each in (*found[1:], *expected[1:]))
        found, expected = found[:1], expected[:1]
    for got, wanted in zip(found, expected, strict=True):
        assert near(got, wanted, 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_embeddings_are_worked_on_in_float32(kind, dtype):
    whole, part = (head.float() for head in both(kind))
    embeddings, labels = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(part, embeddings.to(dtype), labels)
    assert [each.dtype for each in found] == [torch.float32, dtype, torch.float32]
    for got, wanted in zip(found, gradients(whole, embeddings.to(dtype), labels), strict=True):
        assert near(got, wanted, max(1e-6, torch.finfo(got.dtype).eps))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", [1.0, 0.5])
def test_gradients_by_finite_differences(kind, sample):
    _, head = both(kind, classes=5, sample=sample)
    embeddings, labels = batch(5, 5)
    _, of_embeddings, of_kernel = gradients(head, embeddings, labels)
    centres = head.centres.detach()
    for values, found in ((embeddings, of_embeddings), (centres, of_kernel.T)):
        for place in range(values.numel()):
            before = float(values.view(-1)[place])
            sides = []
            for step in (1e-6, -1e-6):
                values.view(-1)[place] = before + step * 0.01
                with torch.no_grad():
                    sides.append(float(head(embeddings, labels)))
            values.view(-1)[place] = before
            slope = (sides[0] - sides[1]) / 2e-8
            assert float(found.reshape(-1)[place]) == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cosines_of_exactly_one_have_finite_loss_and_gradient(kind, sign):
    _, head = both(kind, 4, 3, scale=64.0)
    with torch.no_grad():
        head.centres.copy_(torch.eye(4)[:3])
    for found in gradients(head, sign * torch.eye(4, dtype=torch.float64)[:3], torch.arange(3)):
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("sample", [1.0, 0.5])
def test_of_nobody_known_nothing_is_learnt(sample):
    _, head = both("arcface", sample=sample)
    for found in gradients(head, batch(6)[0], torch.full((6,), -1)):
        assert (found == 0).all()


def test_the_gradient_of_the_loss_s_own_multiple_is_that_multiple():
    whole, part = both("arcface")
    embeddings, labels = batch()
    for head in (whole, part):
        (head(embeddings, labels) * 1024.0).backward()
    assert torch.allclose(part.centres.grad.T, whole.kernel.grad, rtol=1e-9)


def test_a_second_backward_pass_is_refused():
    _, head = both("arcface")
    loss = head(*batch())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="taken already"):
        loss.backward()


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_it_is_the_softmax_over_the_classes_that_take_part(kind):
    _, head = both(kind, classes=20, sample=0.4)
    embeddings, labels = batch(9, 6)
    head.step = 11
    loss, _, kernel_gradient = gradients(head, embeddings, labels)
    taking_part = head.centres.grad.coalesce().indices()[0].tolist()
    assert set(labels[labels >= 0].tolist()) <= set(taking_part)
    assert len(set(taking_part)) == len(taking_part) == 8  # 0.4 x 20
    kernel = head.centres.detach().T
    expected = plain_loss(kind, embeddings, kernel, labels, 16.0, 0.4, taking_part)
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    others = [number for number in range(20) if number not in taking_part]
    assert (kernel_gradient[:, others] == 0).all()
    # The same as a whole head of these classes alone.
    whole = create_head(HeadConfig(kind=kind, scale=16.0, margin=0.4), 6, 8).double()
    with torch.no_grad():
        whole.kernel.copy_(kernel[:, taking_part])
    places = torch.tensor([taking_part.index(each) if each >= 0 else -1 for each in labels])
    _, _, wanted = gradients(whole, embeddings, places)
    assert torch.allclose(kernel_gradient[:, taking_part], wanted, rtol=1e-9, atol=1e-12)


def test_what_takes_part_depends_on_the_step_and_outside_of_training_is_all():
    whole, head = both("arcface", classes=50, sample=0.2)
    embeddings, labels = batch(4, 50)
    losses = []
    for step in (4, 5, 4):
        head.step = step
        losses.append(float(head(embeddings, labels).detach()))
    assert losses[0] == losses[2] != losses[1]
    wanted = float(whole(embeddings, labels).detach())
    assert float(head.eval()(embeddings, labels).detach()) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (4, 4), (5, 7), (16, 3), (7, 130), (64, 999)])
@pytest.mark.parametrize("block", [16, 32, 64, 2**22])
def test_the_first_centres_are_those_of_a_whole_head(sizes, block, monkeypatch):
    """For any process of any number of them; and the generator is left the same."""
    monkeypatch.setattr(shards, "_BLOCK", block)
    ours, theirs = torch.Generator().manual_seed(8), torch.Generator().manual_seed(8)
    kernel = create_head(HeadConfig(), *sizes, theirs).kernel.detach()
    wanted = theirs.get_state()
    for count in (1, 2, 3, 4):
        rows = []
        for number in range(count):
            ours.manual_seed(8)
            part = shards.shard_of(sizes[1], number, count)
            rows.append(shards.draw_rows(part, sizes[0], 0.01, ours))
            assert torch.equal(ours.get_state(), wanted)
        assert torch.equal(torch.cat(rows), kernel.T)


@given(classes=st.integers(1, 10**7), count=st.integers(1, 100))
@settings(max_examples=50)
def test_shards_are_even_and_join_to_the_whole(classes, count):
    parts = [shards.shard_of(classes, number, count) for number in range(count)]
    assert parts[0].first == 0
    assert parts[-1].end == classes
    assert all(one.end == two.first for one, two in itertools.pairwise(parts))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) == math.ceil(classes / count)


def test_the_whole_kernel_and_back():
    whole, part = both("cosface")
    assert torch.equal(part.whole(), whole.kernel)
    other = torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    part.load_whole(other)
    assert torch.equal(part.whole(), other)
    assert part.centres.is_contiguous()
    assert torch.equal(part.whole(part.own(2 * other)), 2 * other)
    with pytest.raises(ValueError, match=r"shape \(6, 7\) was expected. Got \(7, 6\)"):
        part.load_whole(other.T)


def test_a_label_that_is_no_class_is_named():
    _, head = both("arcface")
    with pytest.raises(ValueError, match=r"below the number of classes, 7\. Got 7"):
        head(batch(2)[0], torch.tensor([0, 7]))


def test_a_whole_head_does_not_sample():
    with pytest.raises(ValidationError, match="sample below 1 needs sharded: true"):
        HeadConfig(sample=0.1)
    for wrong in (0.0, 1.5, math.nan):
        with pytest.raises(ValidationError, match="sample"):
            HeadConfig(sharded=True, sample=wrong)
