import json

import numpy as np
import pytest

from pocketface.benchmarks import PairBenchmark
from pocketface.benchmarks.hardest import hardest_pairs
from pocketface.benchmarks.page import page
from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.people_by_folder import people_by_folder
from pocketface.benchmarks.report import (
    Measurement,
    markdown,
    read_report,
    read_scores,
    write_report,
)
from pocketface.benchmarks.thresholds import choose_threshold, thresholds_of, with_thresholds
from pocketface.card import ModelCard, Threshold
from pocketface.data.pairs import PairSet
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.errors import DataError, RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

SMALL = Preprocessing(image_size=32)


class Counting:
    """An embedder that counts what it is shown."""

    def __init__(self, inner):
        self.inner = inner
        self.shown = 0
        self.embedding_size = inner.embedding_size
        self.preprocessing = inner.preprocessing
        self.fingerprint = inner.fingerprint
        self.card = inner.card

    def embed(self, images):
        self.shown += len(images)
        return self.inner.embed(images)


def list_pairs(root, path, *, folds=5, per_fold=48, seed=0):
    """Write a TSV of alternating pairs of one person and of two."""
    generator = np.random.default_rng(seed)
    people = sorted(folder.name for folder in root.iterdir())
    images = {person: sorted(p.name for p in (root / person).iterdir()) for person in people}
    lines = []
    for number in range(folds * per_fold):
        same = number % 2 == 0
        first, second = generator.choice(people, 2, replace=False)
        if same:
            second = first
            left, right = generator.choice(images[first], 2, replace=False)
        else:
            left, right = generator.choice(images[first]), generator.choice(images[second])
        lines.append(f"{first}/{left}\t{second}/{right}\t{int(same)}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def benchmark_(tmp_path_factory, coarse_people):
    root = tmp_path_factory.mktemp("pairs")
    faces = coarse_people(root / "faces", people=9, noise=45)
    return PairBenchmark.load(list_pairs(faces, root / "easy.tsv"), faces)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory, tiny_onnx):
    return OnnxEmbedder(tiny_onnx(tmp_path_factory.mktemp("net") / "tiny.onnx"), SMALL, threads=1)


@pytest.fixture(scope="module")
def run(benchmark_, embedder):
    return benchmark_.run(embedder, model="tiny")


@pytest.fixture(scope="module")
def result(run):
    return run.result


def test_the_figures_are_those_of_embedding_every_pair_by_hand(benchmark_, embedder, run, result):
    pairs = benchmark_.pairs
    similarity = []
    for left, right in zip(pairs.left, pairs.right, strict=True):
        sums = []
        for image in (left, right):
            pixels = pairs.pixels(int(image))[None]
            sums.append(
                embedder.embed(pixels)[0].astype(np.float64) + embedder.embed(pixels[:, :, ::-1])[0]
            )
        a, b = (vector / np.linalg.norm(vector) for vector in sums)
        similarity.append(float(a @ b))
    np.testing.assert_allclose(run.scores, similarity, atol=1e-5)
    assert result.pairs == 240
    assert result.genuine_pairs == result.impostor_pairs == 120
    assert result.people == 9
    assert 0.5 < result.accuracy.value <= 1.0
    assert result.accuracy.low <= result.accuracy.value <= result.accuracy.high
    assert len(result.folds) == 10
    assert result.accuracy.value == pytest.approx(np.mean([f.accuracy for f in result.folds]))
    point = result.operating_points[0]
    scores = run.scores
    assert point.measured_far.value == (scores[~pairs.same] >= point.similarity).mean()
    assert point.tar.value == (scores[pairs.same] >= point.similarity).mean()


def test_every_image_is_embedded_once_and_its_mirror_once(benchmark_, embedder):
    counting, told = Counting(embedder), []
    used = len(set(benchmark_.pairs.left) | set(benchmark_.pairs.right))
    benchmark_.run(counting, lambda *step: told.append(step), replicates=0)
    assert counting.shown == 2 * used
    assert told[-1] == (used, used)
    counting.shown = 0
    plain_run = benchmark_.run(counting, flip=False, replicates=0)
    assert plain_run.replicates is None
    plain = plain_run.result
    assert counting.shown == used
    assert plain.flip is False
    assert plain.intervals is None
    assert plain.accuracy.low is None


def test_the_seed_decides_the_intervals_alone(benchmark_, embedder, result):
    again = benchmark_.run(embedder, model="tiny").result
    moved = {"embedding_seconds": 0.0}
    assert again.model_copy(update=moved) == result.model_copy(update=moved)
    other = benchmark_.run(embedder, seed=1).result
    assert other.accuracy.value == result.accuracy.value
    assert (other.accuracy.low, other.auc.low) != (result.accuracy.low, result.auc.low)


def test_fars_beyond_the_set_are_named_not_invented(result):
    assert [point.far for point in result.operating_points] == [1e-2]
    assert any("needs at least 1,000 pairs" in text for text in result.not_measured)
    assert any("training folds have about 108 pairs" in text for text in result.not_measured)
    assert any("this set has 120" in text for text in result.not_measured)


@pytest.mark.parametrize("kind", ["nan", "zero"])
def test_embeddings_without_direction_are_refused(benchmark_, tmp_path, tiny_onnx, kind):
    bad = OnnxEmbedder(
        tiny_onnx(tmp_path / "bad.onnx", kind=kind, bias=-1e4 * (kind == "nan")), SMALL
    )
    with pytest.raises(WeightsError, match=r"finite|zero"):
        benchmark_.run(bad, replicates=0)


def test_constant_embeddings_have_no_thresholds(benchmark_, tmp_path, tiny_onnx):
    flat = OnnxEmbedder(tiny_onnx(tmp_path / "flat.onnx", kind="zero", bias=1.0), SMALL)
    found = benchmark_.run(flat, replicates=0).result
    assert found.operating_points == ()
    assert any("FAR 0.01 has no threshold" in text for text in found.not_measured)
    assert found.auc.value == 0.5
    assert found.eer.value == 0.5


def test_people_are_taken_from_folders_only_where_every_pair_agrees():
    names = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    left, right = np.array([0, 0]), np.array([1, 2])
    people = people_by_folder(names, left, right, np.array([True, False]))
    assert people is not None
    assert people[0] == people[1] != people[2]
    assert people_by_folder(names, left, right, np.array([True, True])) is None
    assert people_by_folder(["x", "y", "z"], left, right, np.array([True, False])) is None


def test_a_set_that_names_nobody_is_resampled_over_pairs(benchmark_, embedder):
    pairs = benchmark_.pairs
    nameless = PairSet(
        [pairs.images[image] for image in range(len(pairs.images))],
        pairs.left,
        pairs.right,
        pairs.same,
        [f"set.bin image {image}" for image in range(len(pairs.images))],
    )
    found = PairBenchmark("set", nameless).run(embedder, replicates=50).result
    assert found.people is None
    assert found.intervals.drawn == "pairs"
    assert "does not say who" in markdown(found, {})


def measurement(run):
    return Measurement(run.result, {"roc.png": b"PNG"}, run.cases, run.replicates, run.scores)


def test_the_report_reads_back_as_the_result(tmp_path, run, result):
    written = write_report(tmp_path / "report", measurement(run))
    assert sorted(path.relative_to(tmp_path / "report").as_posix() for path in written) == [
        "figures/roc.png",
        "replicates.npz",
        "report.html",
        "report.json",
        "report.md",
        "scores.npy",
        "table.md",
        "table.tex",
    ]
    report = tmp_path / "report" / "report.json"
    assert read_report(report, PairResult) == result
    np.testing.assert_allclose(read_scores(report), run.scores, atol=1e-7)
    assert np.load(report.parent / "scores.npy").dtype == np.float32
    assert f"{100 * result.accuracy.value:.3f} %" in (tmp_path / "report/report.md").read_text()
    write_report(tmp_path / "report", measurement(run)._replace(replicates=None, scores=None))
    with pytest.raises(DataError, match=r"scores\.npy does not hold"):
        read_scores(report)
    assert not (tmp_path / "report" / "replicates.npz").exists()


def test_the_schema_is_fixed(tmp_path, result):
    content = json.loads(result.model_dump_json())
    content["extra"] = 1
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="not a report"):
        read_report(path, PairResult)
    with pytest.raises(DataError, match="not a report"):
        read_report(tmp_path / "missing.json", PairResult)


def test_the_page_stands_alone_and_escapes_names(run):
    result = run.result
    named = result.model_copy(
        update={"model": result.model.model_copy(update={"name": "<script>x"})}
    )
    html = page(named, {"roc.png": b"roc"}, run.cases)
    assert "<script>" not in html
    assert "&lt;script&gt;x" in html
    assert html.count("data:image/jpeg;base64,") == 2 * 16
    assert "http" not in html
    assert "src='figures" not in html


def test_the_hardest_pairs_are_the_extremes(benchmark_, run, result):
    matches, rejections = hardest_pairs(result, run.scores, benchmark_.pairs, 5)
    scores, same = run.scores, benchmark_.pairs.same
    assert [p.similarity for p in matches.cases] == sorted(scores[~same], reverse=True)[:5]
    assert [p.similarity for p in rejections.cases] == sorted(scores[same])[:5]
    worst = int(np.argmax(np.where(same, -2, scores)))
    left, right = benchmark_.pairs.left[worst], benchmark_.pairs.right[worst]
    names = benchmark_.pairs.names
    assert matches.cases[0].caption == f"{names[left]}\n{names[right]}"
    assert np.array_equal(matches.cases[0].images[1], benchmark_.pairs.pixels(int(right)))
    groups = hardest_pairs(result, run.scores, benchmark_.pairs, 1000)
    every = [case for group in groups for case in group.cases]
    # Folds are of equal size: the share of wrong pairs is what accuracy lacks.
    assert sum(p.wrong for p in every) / len(every) == pytest.approx(1 - result.accuracy.value)
    with pytest.raises(ValueError, match="another set"):
        hardest_pairs(result, run.scores[:1], benchmark_.pairs, 5)


def card(thresholds=()):
    return ModelCard(
        architecture="foreign", embedding_size=8, sha256="0" * 64, thresholds=list(thresholds)
    )


def threshold(benchmark, far, impostors):
    return Threshold(
        benchmark=benchmark,
        far=far,
        measured_far=far,
        tar=0.9,
        similarity=0.3,
        impostor_pairs=impostors,
        flip=True,
    )


def test_a_benchmarks_older_thresholds_are_replaced_and_others_kept(result):
    before = card([threshold("easy", 1e-3, 10), threshold("lfw", 1e-3, 3000)])
    after = with_thresholds(before, result)
    assert after.thresholds == [threshold("lfw", 1e-3, 3000), *thresholds_of(result)]
    assert len(before.thresholds) == 2


def test_the_threshold_with_most_impostor_pairs_is_chosen():
    found = choose_threshold(
        card([threshold("a", 1e-3, 10), threshold("b", 1e-3, 30), threshold("c", 1e-2, 99)]), 1e-3
    )
    assert found.benchmark == "b"
    assert choose_threshold(card(), 1e-3) is None
    with pytest.raises(RecipeError, match=r"FAR of 0\.1; the card has: 0\.01"):
        choose_threshold(card([threshold("c", 1e-2, 99)]), 0.1)


@pytest.mark.parametrize(("same", "folds"), [([True] * 4, 2), ([True, False] * 2, 1)])
def test_sets_that_cannot_be_measured_are_refused_before_the_work(same, folds):
    images = [np.zeros((32, 32, 3), np.uint8)] * 2
    zeros = np.zeros(4, np.int64)
    pairs = PairSet(images, zeros, zeros + 1, np.array(same), ["a", "b"], folds)
    with pytest.raises(DataError, match=r"all 4 pairs are of one person|into 1 folds"):
        PairBenchmark("bad", pairs)


@pytest.mark.slow
def test_mobilefacenet_on_lfw(real_data):
    """The protocol's golden number: 99.467 +- 0.340 % (minutes of computing)."""
    weights = real_data / "weights" / "mobilefacenet_foamliu.onnx"
    network = OnnxEmbedder(
        weights,
        Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    )
    lfw = PairBenchmark.load(real_data / "lfw_pairs.txt", real_data / "lfw112")
    found = lfw.run(network, replicates=0).result
    assert 100 * found.accuracy.value == pytest.approx(99.467, abs=0.05)
    assert 100 * found.accuracy_std == pytest.approx(0.34, abs=0.05)
    assert found.people == 4281
    assert found.images == 7701
