"""A whole set measured from its files, against plain loops over the same files."""

import numpy as np
import pytest
from plain_ijb import FARS, FPIRS, GALLERIES, Plain, lines, run

from pocketface.benchmarks.ijb import IjbBenchmark


def in_rows(points, key):
    return [[getattr(p, key).value, *(g.value for g in p.galleries.values())] for p in points]


@pytest.mark.parametrize(
    ("name", "options", "one_to_one", "one_to_many"),
    [
        ("ijbb", {}, (True, True), (False, True)),
        ("ijbc", {}, (True, True), (False, True)),
        ("ijbc", {"flip": False}, (True, True), (False, True)),
        ("ijbc", {"keep_norm": False, "detector_score": False}, (False, False), (False, False)),
        ("ijbb", {"keep_norm": True, "detector_score": False}, (True, False), (True, False)),
    ],
)
def test_every_figure_is_that_of_plain_loops_over_the_files(
    ijb_set, pattern_embedder, tmp_path, name, options, one_to_one, one_to_many
):
    folder, embedder = ijb_set(name), pattern_embedder()
    result = run(folder, embedder, tmp_path / "work", **options).result
    plain = Plain(folder, name, embedder, flip=options.get("flip", True))
    tars = [point.tar.value for point in result.verification]
    assert tars == pytest.approx(plain.tars(plain.templates(*one_to_one)), abs=1e-12)
    units = plain.templates(*one_to_many)
    found = result.identification
    assert in_rows(found.points, "tpir") == pytest.approx(np.array(plain.tpirs(units)), abs=1e-12)
    assert in_rows(found.ranks, "rate") == pytest.approx(np.array(plain.ranks(units)), abs=1e-12)
    wanted = [row[0] for row in plain.ranks(units, range(1, 21))]
    assert found.cmc == pytest.approx(wanted, abs=1e-12)
    # The set is neither too easy nor too hard to show a difference.
    assert 0.2 < tars[3] < 0.9
    assert 0.2 < found.points[0].tpir.value < 0.97
    assert tuple(found.points[0].galleries) == GALLERIES[name]
    faces = result.verification_faces, found.faces
    assert [(f.keep_norm, f.detector_score) for f in faces] == [one_to_one, one_to_many]


def test_the_counts_are_those_of_the_files(ijb_set, pattern_embedder, tmp_path):
    folder = ijb_set()
    result = run(folder, pattern_embedder(), tmp_path / "work").result
    plain = Plain(folder, "ijbc", pattern_embedder())
    genuine = sum(same for *_, same in plain.pairs)
    assert (result.benchmark, result.protocol) == ("set", "ijbc")
    assert result.faces == len(plain.faces)
    assert result.templates == len({row[1] for row in plain.faces})
    assert (result.pairs, result.genuine_pairs) == (len(plain.pairs), genuine)
    assert result.impostor_pairs == len(plain.pairs) - genuine
    assert result.identities == len(set(plain.probes.values()))
    found = result.identification
    assert list(found.gallery_sizes.values()) == [len(g) for g in plain.galleries]
    people = [set(g.values()) for g in plain.galleries]
    mated = [sum(p in own for p in plain.probes.values()) for own in people]
    assert list(found.mated.values()) == mated
    assert list(found.unmated.values()) == [len(plain.probes) - n for n in mated]


def test_every_figure_has_an_interval_and_its_replicates(ijb_set, pattern_embedder, tmp_path):
    done = run(ijb_set(), pattern_embedder(), tmp_path / "work", replicates=60, seed=4)
    result, kept = done.result, done.replicates
    assert (result.intervals.drawn, result.intervals.replicates) == ("identities", 60)
    figures = result.figures()
    assert list(figures) == [
        *(f"TAR at FAR {float(far):g}" for far in FARS),
        *(f"TPIR at FPIR {fpir}" for fpir in FPIRS),
        *(f"Rank {k}" for k in (1, 5, 10)),
    ]
    parts = [*result.identification.points, *result.identification.ranks]
    estimates = [*figures.values(), *(e for part in parts for e in part.galleries.values())]
    estimates += [point.measured_far for point in result.verification]
    for estimate in estimates:
        assert 0 <= estimate.low <= estimate.high <= 1
    assert kept.values == {name: estimate.value for name, estimate in figures.items()}
    for name, draws in kept.draws.items():
        assert draws.shape == (60,)
        low, high = np.quantile(draws, [0.025, 0.975])
        assert (figures[name].low, figures[name].high) == pytest.approx((low, high))
    # The same seed draws the same people whatever the network: what a paired comparison needs.
    again = run(ijb_set(at="b"), pattern_embedder(), tmp_path / "w", replicates=60, seed=4)
    assert all((again.replicates.draws[name] == kept.draws[name]).all() for name in kept.draws)
    other = run(ijb_set(at="c"), pattern_embedder(), tmp_path / "v", replicates=60, seed=5)
    assert any((other.replicates.draws[name] != kept.draws[name]).any() for name in kept.draws)


def test_landmarks_of_another_order_are_warned_about(ijb_set, pattern_embedder, tmp_path):
    folder = ijb_set()
    path = folder / "meta" / "ijbc_name_5pts_score.txt"
    rows = [[n, c, d, a, b, *rest] for n, a, b, c, d, *rest in lines(path)]
    path.write_text("".join(f"{' '.join(row)}\n" for row in rows))
    benchmark = IjbBenchmark.load(folder)
    assert len(benchmark.warnings) == 1
    assert "landmarks do not fit the 112 x 112 template" in benchmark.warnings[0]
    result = benchmark.run(pattern_embedder(), work=tmp_path / "work", replicates=0).result
    assert result.warnings == benchmark.warnings
    assert benchmark.warnings[0] in result.sentences()
    assert IjbBenchmark.load(ijb_set(at="right")).warnings == ()


def test_without_galleries_only_the_pairs_are_measured(ijb_set, pattern_embedder, tmp_path):
    folder = ijb_set()
    for path in (folder / "meta").glob("*_1N_*"):
        path.unlink()
    result = run(folder, pattern_embedder(), tmp_path / "work", replicates=10).result
    assert result.identification is None
    assert [name for name in result.figures() if not name.startswith("TAR")] == []
    assert any("1:N was not measured" in text for text in result.sentences())


def test_worst_cases_are_the_extremes_with_their_clearest_faces(
    ijb_set, pattern_embedder, tmp_path
):
    folder = ijb_set()
    done = run(folder, pattern_embedder(), tmp_path / "work")
    plain = Plain(folder, "ijbc", pattern_embedder())
    units = plain.templates(keep_norm=True, detector_score=True)
    scored = sorted((float(units[a] @ units[b]), a, b, same) for a, b, same in plain.pairs)
    wanted = (
        [row for row in reversed(scored) if not row[3]][:8],
        [row for row in scored if row[3]][:8],
    )
    threshold = done.result.verification[2].similarity
    clearest = {}
    for (name, template, _), point in zip(plain.faces, plain.points, strict=True):
        best = clearest.setdefault(int(template), (0.0, name))
        clearest[int(template)] = max(best, (float(point[11]), name))
    for group, rows in zip(done.cases, wanted, strict=True):
        assert [case.similarity for case in group.cases] == pytest.approx(
            [row[0] for row in rows], abs=1e-6
        )
        for case, (_, *templates, same) in zip(group.cases, rows, strict=True):
            captions = {f"template {t}: {clearest[t][1]}" for t in templates}
            assert set(case.caption.splitlines()) == captions
            assert case.wrong == ((case.similarity >= threshold) != bool(same))
            assert [image.shape for image in case.images] == [(112, 112, 3)] * 2
    assert not any(case.wrong for case in done.cases[0].cases)  # no false match at FAR 1e-4 here
    assert all(case.wrong for case in done.cases[1].cases)
