"""MegaFace from a folder to a result, on a miniature of the true format."""

import errno
import json
import math
import os

import numpy as np
import pytest
from PIL import Image
from plain_megaface import FARS, loops

from pocketface.benchmarks import stream
from pocketface.benchmarks.megaface import MegafaceBenchmark, MegafaceResult
from pocketface.benchmarks.megaface.feature_file import encode_feature, read_feature
from pocketface.benchmarks.megaface.measure import Comparison
from pocketface.benchmarks.megaface.result import CmcPoint, ProtocolResult
from pocketface.benchmarks.report import read_any_report
from pocketface.benchmarks.result import Estimate
from pocketface.data.jpeg import decode_rgb
from pocketface.errors import DataError, RecipeError, WeightsError

TIMES = {"embedding_seconds": 0.0, "comparing_seconds": 0.0}


def run(folder, embedder, work, **options):
    return MegafaceBenchmark.load(folder).run(embedder, work=work, **({"replicates": 0} | options))


def timeless(result):
    return result.model_copy(update=TIMES)


def plain_embeddings(folder, kind, paths, embedder):
    """One image after the other, with its mirror image."""
    rows = []
    for path in paths:
        pixels = decode_rgb((folder / kind / path).read_bytes(), path)[None]
        rows.append(embedder.embed(pixels)[0] + embedder.embed(pixels[:, :, ::-1])[0])
    return np.array(rows)


def lines(path):
    return {line for line in path.read_text().splitlines() if not line.startswith("#")}


def test_every_figure_is_that_of_loops_over_the_folder(megaface_set, pattern_embedder, tmp_path):
    folder = megaface_set()
    result = run(folder, pattern_embedder(), tmp_path / "work").result
    lists = folder / "templatelists"
    probes = json.loads((lists / "facescrub_features_list.json").read_text())
    named = {
        size: json.loads((lists / f"megaface_features_list.json_{size}_1").read_text())["path"]
        for size in (10, 100, 800)
    }
    row = {path: number for number, path in enumerate(named[800])}
    people = sorted(set(probes["id"]))
    wrong = lines(folder / "facescrub_noises.txt"), lines(folder / "megaface_noises.txt")
    embedder = pattern_embedder()
    comparison = Comparison(
        probes=plain_embeddings(folder, "facescrub", probes["path"], embedder),
        person=np.array([people.index(name) for name in probes["id"]]),
        distractors=plain_embeddings(folder, "megaface", named[800], embedder),
        chosen={size: np.array([row[path] for path in paths]) for size, paths in named.items()},
        protocols=("raw", "refined"),
        noisy_probes=np.array([path.split("/")[1] in wrong[0] for path in probes["path"]]),
        noisy_distractors=np.array([path in wrong[1] for path in named[800]]),
    )
    assert (result.probes, result.people, result.genuine_pairs) == (80, 8, 720)
    assert (result.distractors, result.noisy_probes, result.noisy_distractors) == (800, 2, 3)
    assert (result.missing_probes, result.missing_distractors, result.flip) == (0, 0, True)
    for protocol, left in zip(result.protocols, (800, 797), strict=True):
        cmc, points = loops(comparison, protocol.name, np.ones(8))
        assert protocol.impostor_pairs == 80 * left
        for entry in protocol.cmc:
            assert [rate.value for rate in entry.rates] == cmc[entry.distractors].tolist()
        assert [point.far for point in protocol.points] == [far for far in FARS if far > 1e-5]
        for point in protocol.points:
            assert (point.tar.value, point.accepted) == points[point.far]
            assert point.measured_far.value <= point.far
    raw, refined = result.protocols
    assert (raw.name, refined.name) == ("raw", "refined")
    assert 0 < raw.cmc[-1].rates[0].value < refined.cmc[-1].rates[0].value
    assert [entry.compared for entry in refined.cmc][-1] == 797


def test_what_a_report_holds_is_read_again(megaface_set, pattern_embedder, tmp_path):
    found = run(megaface_set(), pattern_embedder(), tmp_path / "work", replicates=30)
    path = tmp_path / "report.json"
    path.write_text(found.result.model_dump_json(indent=2))
    assert read_any_report(path) == found.result
    text = "\n".join(f"{row.figure} {row.value}" for row in found.result.rows())
    assert "Rank 1, 800 distractors, raw" in text
    assert "TAR at FAR 0.0001, refined" in text
    sentences = "\n".join(found.result.sentences())
    assert "80 probes of 8 people (720 ordered pairs" in sentences
    assert "Noise: 2 of the probes and 3 of the distractors" in sentences
    needed = "TAR at FAR 1e-06 needs at least 1,000,000 impostor pairs; here are 64,000 (raw) and "
    assert f"{needed}63,760 (refined)." in sentences
    # FAR 1e-4 lets 6 of 64,000 pairs pass: too few to trust, and said so.
    assert "Warning: TAR at FAR 0.0001 rests on 6 of 64,000 pairs" in sentences
    assert "FAR 0.001 rests" not in sentences
    for protocol in found.result.protocols:
        for entry in protocol.cmc:
            for rate in entry.rates:
                assert rate.low <= rate.value <= rate.high
        for point in protocol.points:
            assert point.measured_far.low < point.measured_far.value < point.measured_far.high
    assert found.result.intervals is not None
    assert (found.result.intervals.drawn, found.result.intervals.replicates) == ("people", 30)
    assert found.replicates is not None
    assert len(found.replicates.draws["Rank 1, 800 distractors, raw"]) == 30


def test_a_saved_threshold_accepts_what_was_measured(megaface_set, pattern_embedder, tmp_path):
    folder = megaface_set()
    benchmark = MegafaceBenchmark.load(folder)
    features = benchmark.embed(pattern_embedder(), work=tmp_path / "work")
    result = benchmark.measure(features, replicates=0).result
    left, right = (
        rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        for rows in (features.probe_rows, features.distractor_rows)
    )
    impostor, genuine = left @ right.T, left @ left.T
    same = features.probes.person[:, None] == features.probes.person
    np.fill_diagonal(same, False)
    for point in result.protocols[0].points:
        assert (impostor >= point.similarity).sum() == point.accepted
        assert (genuine[same] >= point.similarity).mean() == pytest.approx(point.tar.value)


def test_without_noise_lists_there_is_no_refined_protocol(megaface_set, pattern_embedder, tmp_path):
    folder = megaface_set(noises=False)
    result = run(folder, pattern_embedder(), tmp_path / "work", flip=False).result
    assert [protocol.name for protocol in result.protocols] == ["raw"]
    text = "\n".join(result.sentences())
    assert "There is no refined protocol" in text
    assert "Noise:" not in text
    assert "without mirror images" in text


class Stopping:
    """A network that is stopped by Ctrl-C after some images."""

    def __init__(self, inner, after):
        self._inner, self._after = inner, after

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def embed(self, images):
        if self._inner.images >= self._after:
            raise KeyboardInterrupt
        return self._inner.embed(images)


@pytest.mark.parametrize("after", [64, 80 + 128])
def test_a_stopped_run_goes_on_and_gives_the_same_figures(
    megaface_set, pattern_embedder, tmp_path, after
):
    """Stopped among the probes, and among the distractors."""
    folder = megaface_set()
    whole = run(folder, pattern_embedder(), tmp_path / "whole", replicates=5)
    work, inner = tmp_path / "work", pattern_embedder()
    with pytest.raises(KeyboardInterrupt):
        run(folder, Stopping(inner, 2 * after), work)
    assert inner.images == 2 * after
    again, told = pattern_embedder(), []
    found = MegafaceBenchmark.load(folder).run(
        again, lambda *done: told.append(done), work=work, replicates=5
    )
    assert again.images == 2 * (880 - after)
    assert told[-1] == (880, 880)
    assert timeless(found.result) == timeless(whole.result)
    for name in ("facescrub.npy", "megaface.npy"):
        assert (work / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_embeddings_of_another_network_or_of_other_lists_are_refused(
    megaface_set, pattern_embedder, tmp_path
):
    folder, work = megaface_set(), tmp_path / "work"
    run(folder, pattern_embedder(), work)
    with pytest.raises(DataError, match=r"another run: it differs in network.*Delete it"):
        run(folder, pattern_embedder("other"), work)
    path = folder / "templatelists" / "megaface_features_list.json_800_1"
    names = json.loads(path.read_text())["path"]
    path.write_text(json.dumps({"path": [*names[1:], names[0]]}))
    with pytest.raises(DataError, match=r"megaface\.npy holds .* another run: it differs in names"):
        run(folder, pattern_embedder(), work)


def test_missing_images_are_counted_and_refused_above_the_limit(
    megaface_set, pattern_embedder, tmp_path
):
    folder = megaface_set(own=True)
    benchmark = MegafaceBenchmark.load(folder)
    probe, distractor = benchmark.probes.paths[13], benchmark.distractors.paths[5]
    (folder / "facescrub" / probe).unlink()
    (folder / "megaface" / distractor).unlink()
    embedder = pattern_embedder()
    with pytest.raises(DataError, match=rf"1 of 80 probes are missing, first .*{probe}"):
        run(folder, embedder, tmp_path / "work")
    assert embedder.images == 0
    result = run(folder, embedder, tmp_path / "work", missing=0.02).result
    assert (result.missing_probes, result.missing_distractors) == (1, 1)
    assert (result.probes, result.genuine_pairs) == (79, 7 * 90 + 72)
    raw = result.protocols[0]
    assert raw.impostor_pairs == 79 * 799
    assert [entry.compared for entry in raw.cmc] == [9, 99, 799]
    assert "Warning: 1 probes and 1 distractors of the lists are missing" in "\n".join(
        result.sentences()
    )
    assert "1 of the list left out" in {row.remark for row in result.rows()}


def test_broken_images_are_named(megaface_set, pattern_embedder, tmp_path):
    folder = megaface_set(own=True)
    path = MegafaceBenchmark.load(folder).distractors.paths[300]
    (folder / "megaface" / path).write_bytes(b"no picture")
    with pytest.raises(DataError, match=path):
        run(folder, pattern_embedder(), tmp_path / "work")
    assert not (tmp_path / "work" / "megaface.npy").exists()


def test_a_network_that_gives_zeros_is_told_by_image(megaface_set, pattern_embedder, tmp_path):
    class Zero(pattern_embedder):
        def embed(self, images):
            rows = super().embed(images)
            if self.images > 600:
                rows[2] = 0
            return rows

    folder = megaface_set(noises=False)
    path = MegafaceBenchmark.load(folder).distractors.paths[514]
    with pytest.raises(WeightsError, match=f"first that of {path}: they have no direction"):
        run(folder, Zero(), tmp_path / "work", flip=False)


def test_a_full_disk_is_said_before_the_work_and_leaves_nothing(
    megaface_set, pattern_embedder, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stream.os, "posix_fallocate", full)
    embedder = pattern_embedder()
    with pytest.raises(DataError, match=r"facescrub\.npy cannot be written: No space left"):
        run(megaface_set(), embedder, tmp_path / "work")
    assert embedder.images == 0
    assert list((tmp_path / "work").iterdir()) == []


def test_crops_that_are_no_aligned_faces_are_warned_about(megaface_set, pattern_embedder, tmp_path):
    folder = megaface_set(noises=False)
    path = folder / "templatelists" / "facescrub_features_list.json"
    content = json.loads(path.read_text())
    (folder / "facescrub").unlink()
    noise = np.random.default_rng(0)
    for kind in ("a", "b"):
        for number in range(50):
            pixels = noise.integers(0, 256, (112, 112, 3), dtype=np.uint8)
            file = folder / "facescrub" / kind / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    content = {
        "path": [f"{kind}/{number}.png" for kind in ("a", "b") for number in range(50)],
        "id": ["a"] * 50 + ["b"] * 50,
    }
    path.write_text(json.dumps(content))
    result = run(folder, pattern_embedder(), tmp_path / "work").result
    assert "Warning: the average of 100 of the images does not look like" in result.notes[0]
    assert result.notes[0] in result.sentences()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("templatelists", "has no folder templatelists"),
        ("templatelists/facescrub_features_list.json", "facescrub_features_list.json cannot be re"),
        ("megaface_noises.txt", "megaface_noises.txt is missing"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(megaface_set, tmp_path, broken, message):
    folder = megaface_set()
    (folder / broken).rename(tmp_path / "away")
    with pytest.raises(DataError, match=message):
        MegafaceBenchmark.load(folder)
    with pytest.raises(DataError, match="it has the sets 1"):
        MegafaceBenchmark.load(megaface_set("other"), 2)


def test_noise_that_leaves_a_list_empty_is_refused(megaface_set, pattern_embedder, tmp_path):
    folder = megaface_set()
    path = folder / "templatelists" / "megaface_features_list.json_10_1"
    names = json.loads(path.read_text())["path"]
    (folder / "megaface_noises.txt").write_text("\n".join(names))
    with pytest.raises(DataError, match="of the list of 10 distractors nothing is left"):
        run(folder, pattern_embedder(), tmp_path / "work")


@pytest.fixture
def features(megaface_set, pattern_embedder, tmp_path):
    """The set, its embeddings measured, and the same embeddings as the devkit's files."""
    folder = megaface_set()
    benchmark = MegafaceBenchmark.load(folder)
    embedded = benchmark.embed(pattern_embedder(), work=tmp_path / "embedded")
    embedded.write(tmp_path / "features", "net")
    return benchmark, benchmark.measure(embedded, replicates=20), tmp_path / "features"


def figures_of(result):
    return result.protocols, result.data, result.genuine_pairs


def test_features_saved_and_read_again_give_the_same_figures(features, tmp_path):
    benchmark, measured, folder = features
    read = benchmark.read_features(folder, work=tmp_path / "work", model="again")
    found = benchmark.measure(read, replicates=20)
    assert figures_of(found.result) == figures_of(measured.result)
    assert found.result.model.architecture == "features of net"
    assert found.result.model.embedding_size == 24
    assert found.result.flip is None
    assert "features as they were given" in found.result.sentences()[0]
    for name, draws in measured.replicates.draws.items():
        np.testing.assert_array_equal(found.replicates.draws[name], draws)
    other = benchmark.read_features(folder, work=tmp_path / "w2", algorithm="net", model="x")
    assert other.model.fingerprint == read.model.fingerprint
    with pytest.raises(DataError, match="80 of 80 probes are missing"):
        benchmark.read_features(folder, work=tmp_path / "w3", algorithm="absent")


def test_features_of_several_algorithms_must_be_named(features, tmp_path):
    benchmark, _, folder = features
    first = folder / "facescrub" / f"{benchmark.probes.paths[0]}_net.bin"
    first.with_name(first.name.replace("_net", "_other")).write_bytes(first.read_bytes())
    with pytest.raises(RecipeError, match=r"several algorithms: net, other\."):
        benchmark.read_features(folder, work=tmp_path / "work")


def change(folder, change_of):
    for path in folder.rglob("*.bin"):
        path.write_bytes(encode_feature(change_of(path, read_feature(path))))


def test_probes_and_distractors_of_two_networks_are_refused(features, tmp_path):
    benchmark, _, folder = features
    change(folder / "megaface", lambda _, row: row[:-1])
    with pytest.raises(DataError, match="probes have 24 numbers, those of distractors 23"):
        benchmark.read_features(folder, work=tmp_path / "work")


def test_cleaned_features_with_their_column_give_the_refined_figures(features, tmp_path):
    """As others write them: noise keeps or loses its values, and says 100 in one more column."""
    benchmark, measured, folder = features
    noisy = {f"{name}_net.bin" for name in benchmark.noises.probes}
    noisy |= {f"{name.split('/')[-1]}_net.bin" for name in benchmark.noises.distractors}
    assert len(noisy) == 5

    def cleaned(path, row):
        if path.name in noisy:
            return np.append(np.zeros_like(row), np.float32(100))
        return np.append(row, np.float32(0))

    change(folder, cleaned)
    read = benchmark.read_features(folder, work=tmp_path / "work")
    assert [int(part.sum()) for part in read.noisy] == [2, 3]
    assert read.model.embedding_size == 24
    result = benchmark.measure(read, replicates=20).result
    assert [protocol.name for protocol in result.protocols] == ["refined"]
    wanted = measured.result.protocols[1]
    (found,) = result.protocols
    assert found.cmc == wanted.cmc
    assert found.points == wanted.points
    assert (result.noisy_probes, result.noisy_distractors) == (2, 3)
    assert "only the refined protocol can be measured" in result.notes[0]


def test_a_column_of_zeros_is_no_noise(features, tmp_path):
    benchmark, measured, folder = features
    change(folder, lambda _, row: np.append(row, np.float32(0)))
    read = benchmark.read_features(folder, work=tmp_path / "work")
    assert read.noisy is None
    result = benchmark.measure(read, replicates=20).result
    assert [protocol.cmc for protocol in result.protocols] == [
        protocol.cmc for protocol in measured.result.protocols
    ]


def test_wrong_pairs_are_shown_with_pictures_and_what_was_replaced_is_not(features):
    benchmark, measured, _ = features
    matches, misses = measured.cases
    assert matches.title == "Distractors most similar to a probe (refined)"
    assert len(matches.cases) == len(misses.cases) == 8
    for group, descending in ((matches, True), (misses, False)):
        similarities = [case.similarity for case in group.cases]
        assert similarities == sorted(similarities, reverse=descending)
        for case in group.cases:
            names = case.caption.split("\n")
            assert len(case.images) == len(names) == 2
            assert case.images[0].shape == (112, 112, 3)
            for name in names:
                assert name.split("/")[-1] not in benchmark.noises.probes
                assert name not in benchmark.noises.distractors
    threshold = measured.result.protocols[1].points[0].similarity
    assert all(case.wrong == (case.similarity >= threshold) for case in matches.cases)
    assert all(case.wrong == (case.similarity < threshold) for case in misses.cases)
    assert len({case.caption.split("\n")[0] for case in matches.cases}) == 8


def test_only_the_true_lists_fill_the_papers_columns(features):
    result = features[1].result
    assert result.paper_columns() == {}
    refined = result.protocols[1]
    point = refined.points[0].model_copy(update={"far": 1e-6, "tar": Estimate(value=0.9)})
    true = refined.model_copy(
        update={
            "cmc": (CmcPoint(distractors=1_000_000, compared=999_293, rates=()),),
            "points": (point,),
        }
    )
    real = {"probes": 3529, "missing_probes": 1, "protocols": (true,)}
    assert result.model_copy(update=real).paper_columns() == {"MegaFace(R)": 90.0}
    raw = true.model_copy(update={"name": "raw"})
    assert isinstance(raw, ProtocolResult)
    both = result.model_copy(update=real | {"protocols": (raw, true)})
    assert both.paper_columns() == {"MegaFace": 90.0, "MegaFace(R)": 90.0}
    assert result.model_copy(update=real | {"probes": 3528}).paper_columns() == {}
    assert isinstance(result, MegafaceResult)
    assert math.isclose(both.protocols[0].points[0].tar.value, 0.9)
