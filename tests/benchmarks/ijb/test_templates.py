import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.benchmarks.ijb import templates as templates_module
from pocketface.benchmarks.ijb.templates import Weighting, aggregate
from pocketface.errors import WeightsError

EVERY_WEIGHTING = [Weighting(norm, score) for norm in (True, False) for score in (True, False)]


def draw(seed, faces=120, templates=15, size=6, dtype=np.float32):
    """Faces of very different lengths; media of several frames, some shared by templates."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((faces, size)) * generator.uniform(0.1, 30, (faces, 1))
    template = np.append(np.arange(templates), generator.integers(templates, size=faces))[:faces]
    media = generator.integers(5, size=faces) * 1000 - 2
    return features.astype(dtype), template, media, generator.uniform(0.1, 1, faces)


def by_loops(features, template, media, score, weighting):
    """The published steps, one template and one medium at a time."""
    result = []
    for number in range(template.max() + 1):
        total = np.zeros(features.shape[1])
        for medium in sorted(set(media[template == number].tolist())):
            rows = []
            for face in np.flatnonzero((template == number) & (media == medium)):
                row = features[face].astype(np.float64)
                if not weighting.keep_norm:
                    row = row / np.sqrt((row**2).sum())
                if weighting.detector_score:
                    row = row * score[face]
                rows.append(row)
            total += np.mean(rows, axis=0)
        result.append(total / np.sqrt((total**2).sum()))
    return np.array(result)


@pytest.mark.parametrize("weighting", EVERY_WEIGHTING)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("block", [1, 64, 1 << 19])
def test_templates_are_those_of_plain_loops(monkeypatch, weighting, dtype, block):
    monkeypatch.setattr(templates_module, "_BLOCK", block)
    drawn = draw(0, dtype=dtype)
    found = aggregate(*drawn, weighting)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_loops(*drawn, weighting), atol=1e-7)


def test_the_options_make_different_templates():
    found = [aggregate(*draw(0), weighting) for weighting in EVERY_WEIGHTING]
    for i in range(4):
        for j in range(i):
            assert np.abs(found[i] - found[j]).max() > 0.01


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(EVERY_WEIGHTING))
def test_order_of_rows_names_of_media_and_a_power_of_two_change_no_bit(seed, weighting):
    features, template, media, score = draw(seed)
    wanted = aggregate(features, template, media, score, weighting)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(template))
    renamed = (media * -7 + 3)[order]
    scale = np.float32(2.0 ** generator.integers(-20, 20))
    found = aggregate(features[order] * scale, template[order], renamed, score[order], weighting)
    np.testing.assert_array_equal(found, wanted)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.sampled_from(EVERY_WEIGHTING))
def test_another_scale_and_a_rotation_change_only_the_rounding(seed, scale, weighting):
    features, template, media, score = draw(seed)
    wanted = aggregate(features, template, media, score, weighting)
    scaled = (features * scale).astype(np.float32)
    np.testing.assert_allclose(
        aggregate(scaled, template, media, score, weighting), wanted, atol=2e-6
    )
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))[0]
    turned = (features @ rotation).astype(np.float32)
    np.testing.assert_allclose(
        aggregate(turned, template, media, score, weighting), wanted @ rotation, atol=2e-6
    )


def test_features_may_lie_in_a_file(tmp_path):
    features, template, media, score = draw(1)
    np.save(tmp_path / "f.npy", features)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    weighting = EVERY_WEIGHTING[0]
    np.testing.assert_array_equal(
        aggregate(mapped, template, media, score, weighting),
        aggregate(features, template, media, score, weighting),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_face_that_is_not_finite_is_named(value):
    features, template, media, score = draw(0)
    features[37, 2] = value
    with pytest.raises(WeightsError, match=r"embedding of 38\.jpg is zero or not finite"):
        aggregate(
            features,
            template,
            media,
            score,
            EVERY_WEIGHTING[0],
            face_name=lambda i: f"{i + 1}.jpg",
        )


def test_a_face_of_zeros_is_named_and_tiny_ones_are_no_zeros():
    features, template, media, score = draw(0)
    features[5] = 1e-30  # its square is zero in 32 bits
    aggregate(features, template, media, score, EVERY_WEIGHTING[0])
    features[5] = 0
    with pytest.raises(WeightsError, match="embedding of face 5 is zero"):
        aggregate(features, template, media, score, EVERY_WEIGHTING[0])


def test_a_template_without_direction_is_named():
    features, template, media, score = draw(0)
    template = template % 14  # all below 14, then one of two faces that cancel out
    template[:2], media[:2], score[:2] = 14, 1, 0.5
    features[1] = -features[0]
    for weighting in EVERY_WEIGHTING:
        with pytest.raises(WeightsError, match="template 14 add up to zero"):
            aggregate(features, template, media, score, weighting)
    features, template, media, score = draw(0)
    score[template == 14] = 0
    with pytest.raises(WeightsError, match="template 14 add up to zero"):
        aggregate(features, template, media, score, Weighting(True, True))


def test_features_of_another_number_of_faces_are_refused():
    features, *rest = draw(0)
    with pytest.raises(WeightsError, match=r"120 faces, but embeddings of shape \(119, 6\)"):
        aggregate(features[1:], *rest, EVERY_WEIGHTING[0])
