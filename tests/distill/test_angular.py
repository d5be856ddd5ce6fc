"""Angular distillation against plain loops: the embedding, four blocks, mappings, sizes."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pocketface.distill import AngularConfig, AngularDistillation, Outputs, Partners
from pocketface.models import create_model

FORMS = ["cosine", "squared", "l2"]
WIDTHS = (3, 4, 5, 6)
NOBODY = torch.zeros(4, dtype=torch.int64)


def draw(seed: int, widths=WIDTHS, side: int = 8, size: int = 5, images: int = 4) -> Outputs:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sides = [max(1, side >> n) for n in range(4)]
    maps = (normal(images, w, s, s) for w, s in zip(widths, sides, strict=True))
    return Outputs(normal(images, size), tuple(maps))


def plain_distance(ours: Tensor, theirs: Tensor, form: str) -> float:
    """Row by row, number by number."""
    total = 0.0
    for a, b in zip(ours.flatten(1).tolist(), theirs.flatten(1).tolist(), strict=True):
        length = math.sqrt(math.fsum(x * x for x in a))
        size = math.sqrt(math.fsum(y * y for y in b))
        if form == "l2":
            total += math.fsum((x / length - y / size) ** 2 for x, y in zip(a, b, strict=True))
        else:
            cosine = math.fsum(x * y for x, y in zip(a, b, strict=True)) / (length * size)
            total += (1 - cosine) ** (2 if form == "squared" else 1)
    return total / len(ours)


@pytest.mark.parametrize("form", FORMS)
def test_terms_equal_a_plain_loop(form):
    student, teacher = draw(0), draw(1)
    weights = (0.5, 1.0, 2.0, 4.0)
    loss = AngularDistillation(WIDTHS, WIDTHS, weight=7.0, stage_weights=weights, form=form)
    assert not list(loss.parameters())
    terms = loss(student, teacher, NOBODY)
    assert list(terms) == ["angular", "stage_1", "stage_2", "stage_3", "stage_4"]
    expected = 7.0 * plain_distance(student.embeddings, teacher.embeddings, form)
    assert float(terms["angular"]) == pytest.approx(expected, rel=1e-12)
    for number, weight in enumerate(weights):
        expected = weight * plain_distance(student.stages[number], teacher.stages[number], form)
        assert float(terms[f"stage_{number + 1}"]) == pytest.approx(expected, rel=1e-12)


def test_blocks_without_weight_are_not_looked_at():
    loss = AngularDistillation(WIDTHS, (9, 9, 9, 9), weight=1.0, stage_weights=(0, 1.0, 0, 0))
    assert set(loss.mappings) == {"stage_2"}
    assert loss.needs_stages
    alone = AngularDistillation(weight=1.0)
    assert not alone.needs_stages
    student, teacher = draw(0), draw(1)
    terms = alone(Outputs(student.embeddings), Outputs(teacher.embeddings), NOBODY)
    assert list(terms) == ["angular"]


def test_a_mapping_is_a_convolution_and_batch_norm():
    student, teacher = draw(0), draw(1, widths=(3, 7, 5, 6))
    loss = AngularDistillation(
        WIDTHS, (3, 7, 5, 6), weight=1.0, stage_weights=(1.0,) * 4,
        generator=torch.Generator().manual_seed(2),
    ).double()  # fmt: skip
    assert set(loss.mappings) == {"stage_2"}
    conv, norm = loss.mappings["stage_2"]
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2.0, 7))
        norm.bias.copy_(torch.linspace(-1.0, 1.0, 7))
    mapped = torch.einsum("oi,nihw->nohw", conv.weight[:, :, 0, 0], student.stages[1])
    mean = mapped.mean((0, 2, 3), keepdim=True)
    variance = mapped.var((0, 2, 3), keepdim=True, correction=0)
    mapped = (mapped - mean) / (variance + 1e-5).sqrt()
    mapped = mapped * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    got = loss(student, teacher, NOBODY)["stage_2"]
    assert float(got.detach()) == pytest.approx(plain_distance(mapped, teacher.stages[1], "cosine"))
    got.backward()
    assert conv.weight.grad.abs().max() > 0


@pytest.mark.parametrize("smaller", ["student", "teacher"])
def test_the_larger_map_is_averaged_down(smaller):
    large, small = draw(0, side=16), draw(1, side=8)
    student, teacher = (small, large) if smaller == "student" else (large, small)
    loss = AngularDistillation(WIDTHS, WIDTHS, weight=1.0, stage_weights=(1.0,) * 4)
    terms = loss(student, teacher, NOBODY)
    for number in range(4):
        pooled = large.stages[number]
        images, width, side, _ = pooled.shape
        means = torch.zeros(images, width, side // 2, side // 2, dtype=torch.float64)
        for row in range(side // 2):
            for column in range(side // 2):
                corner = pooled[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                means[:, :, row, column] = corner.mean((2, 3))
        expected = plain_distance(means, small.stages[number], "cosine")
        assert float(terms[f"stage_{number + 1}"]) == pytest.approx(expected, rel=1e-12)


def test_sizes_that_do_not_divide_are_matched_too():
    # A student of 64 pixels and a teacher of 112: maps of 32 and 56.
    student, teacher = draw(0, side=32), draw(1, side=56)
    loss = AngularDistillation(WIDTHS, WIDTHS, weight=1.0, stage_weights=(1.0,) * 4)
    pooled = F.interpolate(teacher.stages[0], size=32, mode="area")
    expected = plain_distance(student.stages[0], pooled, "cosine")
    assert float(loss(student, teacher, NOBODY)["stage_1"]) == pytest.approx(expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("teacher_widths", [WIDTHS, (4, 4, 4, 4)])
def test_gradient_by_finite_differences(form, teacher_widths):
    student = draw(0, side=8, images=3)
    teacher = draw(1, widths=teacher_widths, side=4, images=3)
    loss = AngularDistillation(
        WIDTHS, teacher_widths, weight=2.0, stage_weights=(1.0, 0.5, 0.0, 2.0), form=form,
        generator=torch.Generator().manual_seed(0),
    ).double().eval()  # fmt: skip

    def total(embeddings: Tensor, *stages: Tensor) -> Tensor:
        return sum(loss(Outputs(embeddings, stages), teacher, NOBODY[:3]).values())

    wanted = [each.requires_grad_() for each in (student.embeddings, *student.stages)]
    assert torch.autograd.gradcheck(total, wanted)


def test_the_squared_form_stops_pulling_as_they_come_together():
    teacher = draw(1).embeddings
    pulls = {}
    for form in FORMS:
        student = (teacher + 1e-3 * draw(2).embeddings).requires_grad_()
        terms = AngularDistillation(weight=1.0, form=form)(
            Outputs(student), Outputs(teacher), NOBODY
        )
        terms["angular"].backward()
        pulls[form] = float(student.grad.abs().max())
    assert pulls["squared"] < 1e-4 * pulls["cosine"]
    assert pulls["l2"] == pytest.approx(2 * pulls["cosine"])


@settings(deadline=None, max_examples=30)
@given(
    ours=st.floats(1e-2, 1e2),
    theirs=st.floats(1e-2, 1e2),
    seed=st.integers(0, 1000),
    form=st.sampled_from(FORMS),
)
def test_lengths_do_not_matter(ours, theirs, seed, form):
    student, teacher = draw(seed), draw(seed + 1)
    loss = AngularDistillation(WIDTHS, WIDTHS, weight=1.0, stage_weights=(1.0,) * 4, form=form)
    scaled = loss(
        Outputs(ours * student.embeddings, tuple(ours * stage for stage in student.stages)),
        Outputs(theirs * teacher.embeddings, tuple(theirs * stage for stage in teacher.stages)),
        NOBODY,
    )
    for name, term in loss(student, teacher, NOBODY).items():
        assert torch.allclose(scaled[name], term, rtol=1e-9), name


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_rotation_of_both_does_not_matter(seed):
    student, teacher = draw(seed).embeddings, draw(seed + 1).embeddings
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    loss = AngularDistillation(weight=1.0)
    plain = loss(Outputs(student), Outputs(teacher), NOBODY)["angular"]
    turned = loss(Outputs(student @ turn), Outputs(teacher @ turn), NOBODY)["angular"]
    assert torch.allclose(turned, plain, rtol=1e-9)


def test_equal_networks_cost_nothing_and_a_map_of_zeros_pulls_with_finite_force():
    loss = AngularDistillation(WIDTHS, WIDTHS, weight=1.0, stage_weights=(1.0,) * 4)
    same = draw(0)
    assert float(sum(loss(same, same, NOBODY).values())) == pytest.approx(0, abs=1e-12)
    dead = tuple(torch.zeros_like(stage, requires_grad=True) for stage in same.stages)
    sum(loss(Outputs(same.embeddings, dead), same, NOBODY).values()).backward()
    assert all(torch.isfinite(stage.grad).all() for stage in dead)


def test_half_precision_maps_are_compared_in_float32():
    student, teacher = draw(0), draw(1)
    loss = AngularDistillation(WIDTHS, WIDTHS, weight=1.0, stage_weights=(1.0,) * 4)
    halves = Outputs(student.embeddings.half(), tuple(300 * s.half() for s in student.stages))
    terms = loss(halves, teacher, NOBODY)
    for name, term in loss(student, teacher, NOBODY).items():
        assert terms[name].dtype == torch.float32
        assert float(terms[name]) == pytest.approx(float(term), rel=2e-3)


def test_pocketnet_and_an_iresnet_meet_at_their_stages():
    student = create_model("pocketnet_nano", image_size=32, channels=2, cells=4)
    teacher = create_model("iresnet_18", image_size=48, embedding_size=128, width=0.125)
    loss = AngularConfig(teacher=Path("t")).create_loss(
        Partners(128, student.stage_channels, teacher.stage_channels)
    )
    assert set(loss.mappings) == set()  # 8, 16, 32 and 64 channels in both
    ours, theirs = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 48, 48)
    embedding, stages = student.forward_stages(ours)
    with torch.no_grad():
        target, maps = teacher.eval().forward_stages(theirs)
    terms = loss(Outputs(embedding, tuple(stages)), Outputs(target, tuple(maps)), NOBODY[:2])
    sum(terms.values()).backward()
    assert len(terms) == 5
    assert all(p.grad is not None for n, p in student.named_parameters() if p.requires_grad)


def test_building_a_mapping_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    made = [
        AngularDistillation(
            WIDTHS, (9,) * 4, weight=1.0, stage_weights=(1.0,) * 4,
            generator=torch.Generator().manual_seed(3),
        )
        for _ in range(2)
    ]  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in made[0].state_dict().items():
        assert torch.equal(value, made[1].state_dict()[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": -1.0}, "weight and the 4 stage_weights must be at least 0. Got -1.0"),
        ({"stage_weights": (1.0, 1.0)}, r"Got 1.0 and \[1.0, 1.0\] instead"),
        ({"form": "l1"}, "form must be 'cosine', 'squared' or 'l2'. Got 'l1'"),
        ({"stage_weights": (1.0,) * 4}, r"both networks must have 4 stages. Got widths \[\] and"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AngularDistillation(**{"weight": 1.0, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache": "c"}, r"a cached teacher gives embeddings, .*\[1.0, 1.0, 1.0, 1.0\] ask for"),
        ({"teacher": "t.onnx"}, r"t.onnx is an ONNX file, .*stage_weights: \[0, 0, 0, 0\]"),
        ({"stage_weights": [1, 1, -1, 1]}, "greater than or equal to 0"),
    ],
)
def test_a_recipe_that_asks_for_what_no_teacher_gives_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        AngularConfig(**{"teacher": "t", **changes})
    assert not AngularConfig(teacher="t.onnx", cache="c", stage_weights=[0] * 4).needs_stages
