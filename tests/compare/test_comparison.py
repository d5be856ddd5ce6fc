"""A whole comparison: what it trains, finds and keeps, however often it is stopped."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from pocketface.benchmarks.replicates import read_replicates
from pocketface.compare.design_file import read_design
from pocketface.compare.jobs import Outcome
from pocketface.compare.sitting import Options, Sitting
from pocketface.compare.view import seconds_left
from pocketface.errors import DataError, RecipeError
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.step import TrainingStep

ORDER = ["teacher/seed_0", "alone/seed_0", "taught/seed_0", "alone/seed_1", "taught/seed_1"]


def same_outcome(ours: Path, theirs: Path) -> None:
    """The same weights, bit for bit, as far as ours go."""
    names = sorted(path.relative_to(ours) for path in ours.rglob("*.safetensors"))
    assert len(names) == 3 + 3  # the last ones of seed 0, and the teacher's milestones
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def of_seed_0(findings, out: Path) -> list[dict]:
    """What was found of the runs of seed 0, but for the seconds and the folder."""
    runs = [json.loads(run.model_dump_json()) for run in findings.runs if run.seed == 0]
    for run in runs:
        assert run.pop("folder").startswith(str(out))
        assert run["finished"].pop("seconds") > 0
    return runs


def at_step(monkeypatch, number: int, happens) -> None:
    """Let `happens()` run in the `number`-th training step from now on."""
    real, steps = TrainingStep.learn, 0

    def call(self, loaded):
        nonlocal steps
        steps += 1
        if steps == number:
            happens()
        return real(self, loaded)

    monkeypatch.setattr(TrainingStep, "learn", call)


def test_everything_is_trained_seed_by_seed_and_measured(whole):
    out, findings, here = whole
    assert here.trained == ORDER
    assert [c[0] for c in here.commands] == ["train", "evaluate"] * 5
    assert findings.done == len(findings.runs) == 5
    assert findings.warnings[0].startswith("Warning: few seeds (2).")
    runs = {f"{run.arm}/seed_{run.seed}": run for run in findings.runs}
    assert list(runs) == ORDER
    assert {name: run.images for name, run in runs.items()} == {
        ORDER[0]: 3 * 24,
        **dict.fromkeys(ORDER[1:], 2 * 24),
    }
    for run in runs.values():
        assert run.finished is not None
        assert run.finished.images == run.images
        position = load_checkpoint(Path(run.folder) / "last.ckpt").position
        assert run.finished.seconds == position.seconds > 0
    taught = runs["taught/seed_1"].finished
    teacher = runs["teacher/seed_0"].finished
    assert taught is not None
    assert teacher is not None
    assert taught.taught_by == (teacher.weights,)
    assert (out / "cache").is_dir()


def test_the_findings_against_plain_loops(whole):
    out, findings, _ = whole
    name = "Toy pairs"
    accuracy, draws = {}, {}
    for arm in ("alone", "taught"):
        for seed in (0, 1):
            report = out / arm / f"seed_{seed}" / "reports" / "toy_pairs" / "report.json"
            accuracy[arm, seed] = json.loads(report.read_text())["accuracy"]["value"]
            draws[arm, seed] = read_replicates(report).draws["Accuracy"]
    means = {mean.arm: mean for mean in findings.means}
    for arm in ("alone", "taught"):
        assert means[arm].mean == (accuracy[arm, 0] + accuracy[arm, 1]) / 2
        assert means[arm].seeds == (0, 1)
    (found,) = findings.differences
    each = [accuracy["taught", seed] - accuracy["alone", seed] for seed in (0, 1)]
    assert found.differences == pytest.approx(each)
    assert found.mean == pytest.approx(sum(each) / 2)
    assert found.verdict == "too few seeds"
    over_people = []
    for replicate in range(20):
        total = 0.0
        for seed in (0, 1):
            total += draws["taught", seed][replicate] - draws["alone", seed][replicate]
        over_people.append(total / 2)
    ends = np.quantile(over_people, [0.025, 0.975])
    assert (found.people_low, found.people_high) == pytest.approx(tuple(ends))
    assert findings.benchmarks == {name: "Accuracy"}
    assert findings.drawn == {name: "people"}
    pixels = json.loads((out / "fixed" / "raw_pixels" / "toy_pairs" / "report.json").read_text())
    assert findings.fixed["raw pixels"][name].value == pixels["accuracy"]["value"]


def test_what_is_done_is_not_done_again(whole, content, carry_out, here):
    out, findings, _ = whole
    again, outcome = carry_out(content(), out, here)
    assert here.commands == []
    assert outcome == Outcome()
    assert again == findings


@pytest.mark.parametrize("steps", [(1, 12), (9, 2, 3)])
def test_stopped_and_gone_on_with(whole, content, carry_out, here, tmp_path, monkeypatch, steps):
    """In the teacher and in arms, in the first step and in the middle."""
    out = tmp_path / "toy"
    for step in steps:
        with monkeypatch.context() as patch:
            at_step(patch, step, lambda: os.kill(os.getpid(), signal.SIGINT))
            findings, outcome = carry_out(content(seeds=1), out, here)
        assert outcome.stopped
        assert findings.done < 3
    findings, outcome = carry_out(content(seeds=1), out, here)
    assert outcome == Outcome()
    same_outcome(out, whole[0])
    assert of_seed_0(findings, out) == of_seed_0(whole[1], whole[0])
    assert len([words for words in here.commands if "--resume" in words]) == len(steps)


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_killed_in_a_run_and_as_it_is_noted(whole, content, carry_out, here, tmp_path, monkeypatch):
    out = tmp_path / "toy"

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        at_step(patch, 2, kill)
        with pytest.raises(Killed):
            carry_out(content(seeds=1), out, here)
    with monkeypatch.context() as patch:
        patch.setattr("pocketface.compare.sitting.note_finished", kill)
        with pytest.raises(Killed):
            carry_out(content(seeds=1), out, here)
    carry_out(content(seeds=1), out, here)
    assert here.trained == [ORDER[0]] * 3 + ORDER[1:3]
    same_outcome(out, whole[0])


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """A finished comparison that may be spoilt; its recipes name the folder it was made in."""
    shutil.copytree(whole[0], tmp_path / "copy", symlinks=True)
    shutil.move(whole[0], f"{whole[0]}_away")
    shutil.move(tmp_path / "copy", whole[0])
    yield whole[0]
    shutil.rmtree(whole[0])
    shutil.move(f"{whole[0]}_away", whole[0])


def test_a_changed_recipe_is_refused_with_what_changed(copy, content, carry_out, here):
    plain = content()
    arms = plain["arms"] | {"alone": {"set": {"optimiser.learning_rate": 0.3}}}
    with pytest.raises(RecipeError) as caught:
        carry_out(content(arms=arms), copy, here)
    text = str(caught.value)
    assert text.startswith("alone, seed 0: ")
    assert "optimiser.learning_rate: 0.3 here, 0.1 there" in text
    assert "1 more runs differ" in text
    assert "delete the folders" in text
    assert here.commands == []


def test_titles_seeds_arms_and_the_baseline_may_change(copy, content, carry_out, here):
    arms = content()["arms"] | {"longer": {"set": {"epochs": 3}}}
    del arms["taught"]
    changed = content(title="y", arms=arms, baseline="longer", seeds=[1, 5])
    findings, _ = carry_out(changed, copy, here)
    assert here.trained == ["longer/seed_1", "alone/seed_5", "longer/seed_5"]
    assert findings.title == "y"
    assert {d.arm for d in findings.differences} == {"alone"}
    assert any("different numbers of images, 48 to 72" in text for text in findings.warnings)


def test_what_decides_nothing_may_change(copy, content, carry_out, here):
    common = content()["set"] | {"data.in_memory": False, "checkpoint_minutes": 1}
    carry_out(content(set=common), copy, here)
    assert here.commands == []


def test_another_way_of_measuring_measures_anew_and_trains_nothing(
    copy, content, carry_out, here, people, tmp_path
):
    pairs = json.loads((people / "pairs.json").read_text())
    fewer = tmp_path / "fewer.json"
    fewer.write_text(json.dumps(pairs[:60]))
    measure = {"Toy pairs": {"path": str(fewer), "images": str(people / "test")}}
    findings, _ = carry_out(content(replicates=30, measure=measure, flip=False), copy, here)
    assert [words[0] for words in here.commands] == ["evaluate"] * 5
    report = json.loads((copy / "fixed" / "raw_pixels" / "toy_pairs" / "report.json").read_text())
    assert report["pairs"] == 60
    assert not report["flip"]
    assert findings.done == 5


def test_another_figure_of_the_same_reports(copy, content, carry_out, here, people):
    entry = {"path": str(people / "pairs.json"), "images": str(people / "test")}
    chosen = content(measure={"Toy pairs": entry | {"figure": "Equal error rate"}})
    findings, _ = carry_out(chosen, copy, here)
    assert here.commands == []
    report = json.loads((copy / "alone" / "seed_1" / "reports/toy_pairs/report.json").read_text())
    run = next(run for run in findings.runs if (run.arm, run.seed) == ("alone", 1))
    assert run.figures["Toy pairs"].value == report["eer"]["value"]
    with pytest.raises(RecipeError, match=r"no figure 'Equal errors'. Did you mean 'Equal error"):
        carry_out(content(measure={"Toy pairs": entry | {"figure": "Equal errors"}}), copy, here)


def test_weights_that_changed_or_went_are_told(copy, content, carry_out, here):
    weights = copy / "taught" / "seed_1" / "last.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + b"x")
    with pytest.raises(DataError, match=r"holds a finished run, but .*sha256"):
        carry_out(content(), copy, here)
    for name in ("last.safetensors", "last.json"):  # those of another run, whole and in order
        shutil.copyfile(copy / "alone" / "seed_1" / name, weights.with_name(name))
    with pytest.raises(DataError, match=r"but .*last.safetensors is not what it left"):
        carry_out(content(), copy, here)
    weights.unlink()
    with pytest.raises(DataError, match=r"but .*last.safetensors is not what it left"):
        carry_out(content(), copy, here)
    shutil.rmtree(weights.parent)
    carry_out(content(), copy, here)
    assert here.trained == ["taught/seed_1"]
    assert weights.read_bytes() == before


def test_other_images_between_sittings_are_told(copy, content, carry_out, here, people, tmp_path):
    faces = people / "train"
    shutil.rmtree(copy / "alone" / "seed_1")
    shutil.move(faces, tmp_path / "train")
    try:
        shutil.copytree(tmp_path / "train", faces)
        shutil.copyfile(
            faces / "Person_00" / "Person_00_0001.png", faces / "Person_01" / "Person_01_0001.png"
        )
        findings, _ = carry_out(content(), copy, here)
    finally:
        shutil.rmtree(faces)
        shutil.move(tmp_path / "train", faces)
    assert any("training images of alone changed" in text for text in findings.warnings)
    assert not any("of taught changed" in text for text in findings.warnings)


def test_an_arm_that_diverges_does_not_stop_the_others(content, carry_out, here, tmp_path):
    arms = content()["arms"] | {
        "wild": {"set": {"optimiser.learning_rate": 1e30, "optimiser.clip_norm": 0}}
    }
    del arms["taught"]
    plain = content(arms=arms, prepare={})
    findings, outcome = carry_out(plain, tmp_path / "toy", here)
    assert list(outcome.failed) == ["wild, seed 0"]
    assert any(text.startswith("Warning: wild, seed 0 failed: ") for text in findings.warnings)
    assert "lower optimiser.learning_rate" in outcome.failed["wild, seed 0"]
    assert here.trained == ["alone/seed_0", "wild/seed_0", "alone/seed_1"]
    assert findings.done == 2
    assert findings.differences == ()


def test_without_its_teacher_an_arm_waits(content, carry_out, here, tmp_path):
    prepare = {"teacher": {"set": {"optimiser.learning_rate": 1e30, "optimiser.clip_norm": 0}}}
    findings, outcome = carry_out(content(prepare=prepare, seeds=1), tmp_path / "toy", here)
    assert list(outcome.failed) == ["teacher, seed 0"]
    assert "taught, seed 0" in outcome.left
    assert here.trained == ORDER[:2]
    assert findings.done == 1


def test_no_time_no_run(content, carry_out, here, tmp_path):
    findings, outcome = carry_out(content(), tmp_path / "toy", here, minutes=0)
    assert outcome.stopped
    assert here.commands == []
    assert findings.fixed  # pixels need no run


def test_fixed_weights_are_measured_beside(content, carry_out, here, tmp_path, tiny_onnx):
    tiny_onnx(tmp_path / "foreign.onnx", size=32)
    described = {"image_size": 32, "mean": [0.4, 0.5, 0.6]}
    fixed = {"Foreign": {"weights": str(tmp_path / "foreign.onnx"), "preprocessing": described}}
    plain = content(fixed=fixed, prepare={}, arms={"alone": {}}, seeds=1)
    findings, _ = carry_out(plain, tmp_path / "toy", here)
    assert [words[0] for words in here.commands] == ["evaluate", "train", "evaluate"]
    report = json.loads((tmp_path / "toy/fixed/foreign/toy_pairs/report.json").read_text())
    assert report["model"]["preprocessing"]["mean"] == [0.4, 0.5, 0.6]
    assert findings.fixed["Foreign"]["Toy pairs"].value == report["accuracy"]["value"]
    carry_out(plain, tmp_path / "toy", here)
    assert len(here.commands) == 3


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"set": {"data.train": ["nowhere"]}}, "teacher, seed 0: nowhere: no such file or folder"),
        ({"measure": {"LFW": "lfw.bin"}}, "measure.LFW: lfw.bin: no such file"),
        ({"fixed": {"x": "no.onnx"}}, r"fixed.x: no.onnx is not there.*\{weights: FILE"),
        ({"arms": {"a": {"set": {"model.architecture": "pocketnet"}}}}, "a, seed 0: Unknown model"),
        ({"arms": {"a": {"set": {"batch_size": 64}}}}, "a, seed 0: the training set has 30 images"),
        ({"arms": {"a": {"init": "no.safetensors"}}}, "a, seed 0: model.init is no.safetensors"),
        ({"arms": {"a": {"teacher": "no.onnx"}}}, "a, seed 0: the teacher no.onnx does not exist"),
    ],
)
def test_what_cannot_be_carried_out_is_told_before_anything_begins(
    content, carry_out, here, tmp_path, entries, message
):
    with pytest.raises(Exception, match=message) as caught:
        carry_out(content(**entries), tmp_path / "toy", here)
    assert type(caught.value).__module__ == "pocketface.errors"
    assert not (tmp_path / "toy").exists()


def test_multi_step_needs_a_teacher_that_keeps_its_milestones(content, carry_out, here, tmp_path):
    arms = {"a": {"teacher": "$teacher", "set": {"distill.multi_step": True}}}
    with pytest.raises(RecipeError, match=r"a, seed 0: it follows .* 'milestones: true'"):
        carry_out(content(arms=arms, prepare={"teacher": {}}), tmp_path / "toy", here)


def test_the_time_left_is_the_arms_own_rate(whole, content, write):
    out, findings, _ = whole
    more = Sitting(read_design(write(content(seeds=3))), out, Options())
    rates = {}
    for arm in ("alone", "taught", "teacher"):
        ended = [run.finished for run in findings.runs if run.arm == arm]
        rates[arm] = sum(e.seconds / e.images for e in ended if e is not None) / len(ended)
    planned = [run for run in more.planned if run.name != "taught, seed 2"]
    assert seconds_left(planned, more.costs) == pytest.approx(48 * rates["alone"])
    # An arm that has not run is taken to be as fast as the others.
    arms = content()["arms"] | {"other": {}}
    more = Sitting(read_design(write(content(arms=arms))), out, Options())
    assert seconds_left(more.planned, more.costs) == pytest.approx(
        2 * 48 * (rates["alone"] + rates["taught"] + rates["teacher"]) / 3
    )
    done = Sitting(read_design(write(content())), out, Options())
    assert seconds_left(done.planned, done.costs) == 0
