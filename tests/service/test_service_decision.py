"""Which threshold decides, what goes with it, and what the command says before it serves."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pocketface.card import Calibration, ModelCard, Threshold
from pocketface.cli.main import app
from pocketface.errors import PocketFaceError, RecipeError
from pocketface.service.bounds import Bounds
from pocketface.service.decision import decision_for


def entry(
    far: float, similarity: float, benchmark: str = "LFW", *, measured: float | None = None
) -> Threshold:
    return Threshold(
        benchmark=benchmark,
        far=far,
        measured_far=far if measured is None else measured,
        tar=0.9,
        similarity=similarity,
        impostor_pairs=3000 if benchmark == "LFW" else 10,
        flip=True,
    )


def card(*thresholds: Threshold, calibration: Calibration | None = None) -> ModelCard:
    return ModelCard(
        architecture="foreign",
        embedding_size=8,
        sha256="0" * 64,
        thresholds=list(thresholds),
        calibration=calibration,
    )


CALIBRATION = Calibration(
    benchmark="LFW",
    method="logistic",
    similarities=(0.0, 1.0),
    log_odds=(-4.0, 4.0),
    genuine_pairs=10,
    impostor_pairs=10,
    flip=True,
)


def test_the_card_s_threshold_decides_with_what_is_known_of_it() -> None:
    known = card(entry(1e-2, 0.2), entry(1e-3, 0.3), entry(1e-3, 0.9, "small"))
    decision = decision_for(known, 1e-3, None, None)
    assert decision.limit is not None
    assert (decision.limit.similarity, decision.limit.far) == (0.3, 1e-3)
    assert decision.limit.measured_on == "LFW"
    assert decision.flip
    assert [(point.far, point.similarity) for point in decision.points] == [
        (0.01, 0.2),
        (1e-3, 0.3),
    ]


def test_a_rate_that_was_measured_as_nought_is_not_believed() -> None:
    decision = decision_for(card(entry(1e-3, 0.3, measured=0.0)), 1e-3, None, None)
    assert decision.limit is not None
    assert decision.limit.far == 1e-3


def test_a_threshold_by_hand_says_no_rate() -> None:
    decision = decision_for(card(entry(1e-3, 0.3)), 1e-3, 0.5, None)
    assert decision.limit is not None
    assert (decision.limit.similarity, decision.limit.far) == (0.5, None)
    with pytest.raises(RecipeError, match=r"-1 to 1, got 1\.5"):
        decision_for(None, 1e-3, 1.5, None)


def test_without_a_threshold_nothing_is_decided() -> None:
    for known in (None, card()):
        decision = decision_for(known, 1e-3, None, None)
        assert (decision.limit, decision.points) == (None, ())
        assert decision.flip
    with pytest.raises(RecipeError, match=r"no threshold is known for a FAR of 0\.5"):
        decision_for(card(entry(1e-3, 0.3)), 0.5, None, None)


def test_sums_of_two_kinds_are_never_compared() -> None:
    with pytest.raises(
        RecipeError, match=r"of the image alone, but the threshold .* image and mirror"
    ):
        decision_for(card(entry(1e-3, 0.3)), 1e-3, None, False)
    by_hand = decision_for(card(entry(1e-3, 0.3), calibration=CALIBRATION), 1e-3, 0.5, False)
    assert not by_hand.flip
    assert by_hand.probability(0.5) is None
    fitting = decision_for(card(entry(1e-3, 0.3), calibration=CALIBRATION), 1e-3, None, True)
    assert fitting.probability(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "bounds",
    [{"threads": 0}, {"waiting": -1}, {"body_bytes": 0}, {"pixels": 100}, {"seconds": 0.0}],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="must be at least"):
        Bounds(**bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "a token is required"),
        (["--token", "short"], "at least 16"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--detector", "none.onnx"], "none.onnx"),
        (["--model", "none.onnx"], "none.onnx"),
        (["--far", "0.5", "--threshold", "7"], "-1 to 1, got 7"),
        (["--min-quality", "best"], "--min-quality knows no 'best'"),
    ],
)
def test_the_command_refuses_before_it_serves(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_onnx: Callable[..., Path],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.delenv("POCKETFACE_TOKEN", raising=False)
    network = ["--model", str(tiny_onnx(tmp_path / "tiny.onnx"))]
    described = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5"]
    found = CliRunner().invoke(app, ["serve", *network, "--port", "0", *described, *words])
    assert isinstance(found.exception, PocketFaceError)
    assert message in str(found.exception)
