import json

import pytest
from typer.testing import CliRunner

from pocketface.card import card_path, read_card, sha256_of, write_card
from pocketface.cli.main import app, main

pytestmark = pytest.mark.timeout(900)  # the first test traces


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_it_says_what_it_wrote_and_what_to_type_next(source, instant, tmp_path) -> None:
    out = tmp_path / "m.onnx"
    outcome = run("export", source("iresnet"), out)
    assert outcome.exit_code == 0
    first, parity, card, following = outcome.stdout.splitlines()
    assert first.startswith(f"{out}: {out.stat().st_size / 1e6:.2f} MB in ")
    assert first.endswith("; takes float32 (N, 3, S, S), gives raw embeddings")
    assert parity.startswith("Same embeddings as trained.safetensors on 36 images: cosine at least")
    assert card == f"Card: in the file, and in {card_path(out)}"
    assert following == f"Next: pocketface verify A.jpg B.jpg --weights {out}"


def test_without_a_threshold_the_next_step_is_to_measure_one(source, instant, tmp_path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(source("iresnet").read_bytes())
    card = read_card(source("iresnet"))
    write_card(weights, card.model_copy(update={"thresholds": []}))
    outcome = run("export", weights, tmp_path / "m.onnx")
    assert outcome.stdout.splitlines()[-1] == (
        f"Next: pocketface evaluate {tmp_path / 'm.onnx'} PAIRS"
    )


def test_json_for_a_program(source, instant, tmp_path) -> None:
    out = tmp_path / "m.onnx"
    answer = json.loads(run("export", source("iresnet"), out, "--json").stdout)
    assert answer.pop("seconds") > 0
    parity = answer.pop("parity")
    assert parity["faces"] == 36
    assert parity["cosine"] == pytest.approx(1, abs=1e-6)
    assert 0 <= parity["relative"] < 1e-4
    assert answer == {
        "target": "onnx",
        "path": str(out),
        "companions": [],
        "card": str(card_path(out)),
        "sha256": sha256_of(out),
        "bytes": out.stat().st_size,
        "input": "float",
        "output": "raw",
        "batch": None,
        "opset": 18,
    }


def test_the_other_commands_work_on_the_file_and_its_card(
    exported, coarse_people, tmp_path
) -> None:
    people = coarse_people(tmp_path / "people", people=2, images=2)
    a, b = sorted(people.rglob("*.png"))[:2]
    weights = exported("iresnet").path
    verified = run("verify", a, b, "--weights", weights, "--json")
    assert json.loads(verified.stdout)["threshold"]["similarity"] == 0.25
    assert verified.exit_code in (0, 1)
    embedded = run("embed", people, "--weights", weights, "--out", tmp_path / "e.npz")
    assert embedded.exit_code == 0


def test_a_mistake_is_one_message_and_exit_code_2(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        "sys.argv", ["pocketface", "export", str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")]
    )
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "error:" in printed.err
    assert "Traceback" not in printed.err
