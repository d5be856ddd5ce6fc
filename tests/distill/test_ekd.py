"""EKD against plain loops over pairs: thresholds, ranks, hardest negatives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketface.distill import EKDConfig, Outputs, Partners, RankAgreement

RATES = (0.3, 0.1, 1e-4)
LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 3, 0, 2])


def draw(seed: int, size: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(numbers: int) -> Tensor:
        return torch.randn(len(LABELS), numbers, generator=generator, dtype=torch.float64)

    # The teacher's embeddings are longer: sizes need not agree.
    return normal(size), normal(size + 2)


def make(**options: object) -> RankAgreement:
    given: dict[str, object] = {"rates": RATES, "temperature": 0.1, "momentum": 0.7, "hardest": 6}
    return RankAgreement(**{**given, **options}).double()


def pairs_of(embeddings: Tensor) -> tuple[list[float], list[float]]:
    """Cosines of pairs of one person, and of pairs of two."""
    positives, negatives = [], []
    rows = embeddings.tolist()
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            dot = math.fsum(x * y for x, y in zip(rows[i], rows[j], strict=True))
            lengths = [math.sqrt(math.fsum(x * x for x in rows[k])) for k in (i, j)]
            same = LABELS[i] == LABELS[j]
            (positives if same else negatives).append(dot / lengths[0] / lengths[1])
    return positives, negatives


def plain_thresholds(negatives: list[float]) -> list[float]:
    """The cosine that the share of the others exceed."""
    ordered = sorted(negatives, reverse=True)
    return [ordered[math.floor(rate * len(ordered) + 1e-9)] for rate in RATES]


def plain_rank(cosine: float, thresholds: list[float]) -> float:
    return sum(1 / (1 + math.exp(-(cosine - threshold) / 0.1)) for threshold in thresholds)


def test_terms_and_thresholds_equal_plain_loops():
    loss = make(positive_weight=2.0, negative_weight=5.0)
    kept: list[list[float]] = []
    for step in range(3):
        student, teacher = draw(step)
        terms = loss(Outputs(student), Outputs(teacher), LABELS)
        (ours, others), (theirs, strangers) = pairs_of(student), pairs_of(teacher)
        now = [plain_thresholds(others), plain_thresholds(strangers)]
        kept = now if step == 0 else [
            [0.7 * a + 0.3 * b for a, b in zip(*pair, strict=True)]
            for pair in zip(kept, now, strict=True)
        ]  # fmt: skip
        assert loss.student_thresholds.tolist() == pytest.approx(kept[0], rel=1e-12)
        assert loss.teacher_thresholds.tolist() == pytest.approx(kept[1], rel=1e-12)

        def squares(left, right, kept=kept):
            return [
                (plain_rank(a, kept[0]) - plain_rank(b, kept[1])) ** 2
                for a, b in zip(left, right, strict=True)
            ]

        found = squares(ours, theirs)
        assert len(found) == 8  # six pairs of person 0, one of 1, one of 2
        expected = 2.0 * sum(found) / len(found)
        assert float(terms["ekd_positive"]) == pytest.approx(expected, rel=1e-9)
        hardest = sorted(range(len(others)), key=lambda k: -others[k])[:6]
        found = squares([others[k] for k in hardest], [strangers[k] for k in hardest])
        assert float(terms["ekd_negative"]) == pytest.approx(5.0 * sum(found) / 6, rel=1e-9)


def test_equal_networks_agree():
    loss = make()
    student, _ = draw(0)
    terms = loss(Outputs(student), Outputs(student), LABELS)
    assert float(sum(terms.values())) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize(("labels", "empty"), [(range(9), "positive"), ([0] * 9, "negative")])
def test_a_batch_without_such_pairs_costs_nothing(labels, empty):
    loss = make()
    student, teacher = draw(0)
    student.requires_grad_()
    terms = loss(Outputs(student), Outputs(teacher), torch.tensor(list(labels)))
    sum(terms.values()).backward()
    assert float(terms[f"ekd_{empty}"].detach()) == 0.0
    assert torch.isfinite(student.grad).all()
    assert bool(loss.started) is (empty == "positive")


def test_thresholds_stay_in_evaluation_mode():
    loss = make()
    loss(Outputs(draw(0)[0]), Outputs(draw(0)[1]), LABELS)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.eval()(Outputs(draw(1)[0]), Outputs(draw(1)[1]), LABELS)
    assert all(torch.equal(before[name], value) for name, value in loss.state_dict().items())


def test_gradient_by_finite_differences():
    loss = make()
    student, teacher = draw(2)
    loss(Outputs(student), Outputs(teacher), LABELS)
    loss.eval()
    assert torch.autograd.gradcheck(
        lambda s: sum(loss(Outputs(s), Outputs(teacher), LABELS).values()),
        (student.requires_grad_(),),
    )


@settings(deadline=None, max_examples=30)
@given(ours=st.floats(1e-2, 1e2), theirs=st.floats(1e-2, 1e2), seed=st.integers(0, 1000))
def test_lengths_do_not_matter(ours, theirs, seed):
    student, teacher = draw(seed)
    plain = make()(Outputs(student), Outputs(teacher), LABELS)
    scaled = make()(Outputs(ours * student), Outputs(theirs * teacher), LABELS)
    for name, term in plain.items():
        assert torch.allclose(scaled[name], term, rtol=1e-7), name


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_rotation_of_either_does_not_matter(seed):
    student, teacher = draw(seed)
    plain = make()(Outputs(student), Outputs(teacher), LABELS)
    for turned in ((student @ rotation(4), teacher), (student, teacher @ rotation(6))):
        terms = make()(Outputs(turned[0]), Outputs(turned[1]), LABELS)
        for name, term in plain.items():
            assert torch.allclose(terms[name], term, rtol=1e-7), name


def rotation(size: int) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]


def test_a_recipes_words_make_the_papers_loss():
    config = EKDConfig(teacher="t", loss="ekd")
    assert (config.balanced_share, config.replaces_head) == (0.5, False)
    loss = config.create_loss(Partners(embedding_size=4))
    assert (loss.positive_weight, loss.negative_weight, loss.hardest) == (0.02, 0.01, 2000)
    assert loss.temperature == 0.01
    assert loss.rates == (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
