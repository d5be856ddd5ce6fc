"""ncnn files as embedders: whole, foreign and spoilt."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from torch import nn
from trained_networks import FEW_ROWS, as_trained, save

from pocketface.card import write_card
from pocketface.deploy import ExportOptions, export_network
from pocketface.embedding import load_embedder
from pocketface.errors import DataError, ExportError, RecipeError, WeightsError
from pocketface.models import create_model
from pocketface.preprocessing import Preprocessing

ncnn = pytest.importorskip(
    "ncnn", reason="ncnn is not installed (pip install 'pocketface[train,export,ncnn]')"
)
pnnx = pytest.importorskip(
    "pnnx", reason="pnnx is not installed (pip install 'pocketface[train,export,ncnn]')"
)

SMALL = Preprocessing(image_size=32)


def write(weights: Path, out: Path, **options: object):
    return export_network(
        weights,
        out,
        generator=np.random.default_rng(0),
        target="ncnn",
        options=ExportOptions(**options),
    )


@pytest.fixture(scope="module")
def written(source, tmp_path_factory) -> Path:
    return write(source("mobilefacenet"), tmp_path_factory.mktemp("ncnn") / "m.param").path


@pytest.fixture
def copy(written, tmp_path) -> Path:
    """The two files, without the card."""
    for suffix in (".param", ".bin"):
        shutil.copy(written.with_suffix(suffix), tmp_path)
    return tmp_path / written.name


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def without_entries(path: Path) -> Path:
    """Make it a file of others: what stands behind its last layer is taken away."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[: 2 + int(lines[1].split()[0])]) + "\n")
    return path


def test_it_keeps_float32_and_whole_prelus(copy) -> None:
    kinds = [line.split()[0] for line in copy.read_text().splitlines()]
    network = create_model("mobilefacenet", image_size=32, embedding_size=16, rows=FEW_ROWS)
    assert kinds.count("PReLU") == sum(isinstance(m, nn.PReLU) for m in network.modules())
    assert "BatchNorm" not in kinds
    learnt = sum(p.numel() for p in network.parameters())
    assert copy.with_suffix(".bin").stat().st_size > 3 * learnt  # in 16 bits it would be 2


def test_any_number_of_faces_is_embedded_one_by_one(copy, source) -> None:
    embedder, wanted = load_embedder(copy, threads=1), load_embedder(source("mobilefacenet"))
    np.testing.assert_allclose(
        embedder.embed(faces(5)), wanted.embed(faces(5)), rtol=1e-3, atol=1e-5
    )
    assert embedder.embed(faces(0)).shape == (0, 16)
    with pytest.raises(DataError, match="grey"):
        embedder.embed(faces(2)[..., :1])


def test_what_it_is_given_stays_as_it_was(copy) -> None:
    """A layer that computes in place must not write into the caller's array."""
    embedder = load_embedder(copy, threads=1)
    images = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    before = images.copy()
    embedder._file.outputs_for(images)
    assert np.array_equal(images, before)


def test_the_embedding_comes_before_its_length(source, tmp_path) -> None:
    done = write(source("mobilefacenet"), tmp_path / "u.param", output="unit")
    embedder = load_embedder(done.path, threads=1)
    first, length = embedder._file.outputs_for(np.ones((1, 3, 32, 32), np.float32))
    assert first.shape == (1, 16)
    assert length.shape == (1, 1)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-6)


def test_weights_of_another_export_are_refused(copy) -> None:
    content = bytearray(copy.with_suffix(".bin").read_bytes())
    content[100] ^= 1
    copy.with_suffix(".bin").write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.param and m\.bin are not of one export"):
        load_embedder(copy)


@pytest.mark.parametrize("spoilt", ["missing", "cut weights", "cut text", "text", "empty"])
@pytest.mark.parametrize("of", ["ours", "others"])
def test_spoilt_files_are_refused_by_name(copy, spoilt, of) -> None:
    weights = copy.with_suffix(".bin")
    if of == "others":
        without_entries(copy)
    if spoilt == "missing":
        weights.unlink()
    elif spoilt == "cut weights":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif spoilt == "cut text":
        copy.write_bytes(copy.read_bytes()[:1000])
    else:
        copy.write_text("hello" if spoilt == "text" else "")
    with pytest.raises(WeightsError, match=r"m\.param"):
        load_embedder(copy, None)


def test_a_file_of_others_is_described_by_hand_or_by_a_card(copy) -> None:
    wanted = load_embedder(copy, threads=1)
    without_entries(copy)
    with pytest.raises(WeightsError, match="--size, --order, --mean and --std"):
        load_embedder(copy)
    embedder = load_embedder(copy, wanted.preprocessing, threads=1)
    assert np.array_equal(embedder.embed(faces(2)), wanted.embed(faces(2)))
    assert embedder.card is None
    from pocketface.cli.foreign import begin_card

    write_card(copy, begin_card(copy, embedder, None))
    assert load_embedder(copy, threads=1).card.architecture == "foreign"


def test_two_networks_of_others_have_two_fingerprints(copy) -> None:
    """Equal layers, other weights: the `.param` alone would not tell."""
    without_entries(copy)
    first = load_embedder(copy, SMALL, threads=1).fingerprint
    content = bytearray(copy.with_suffix(".bin").read_bytes())
    content[100] ^= 1
    copy.with_suffix(".bin").write_bytes(content)
    assert load_embedder(copy, SMALL, threads=1).fingerprint != first


def test_threads_must_be_positive(copy) -> None:
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        load_embedder(copy, threads=0)


def test_pixels_and_batches_are_no_options_of_it(source, tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"ncnn has no option 'input'; it knows output\."):
        write(source("mobilefacenet"), tmp_path / "m.param", input="uint8")
    with pytest.raises(RecipeError, match="ncnn has no option 'batch'"):
        write(source("mobilefacenet"), tmp_path / "m.param", batch=2)


def test_what_pnnx_cannot_do_is_told(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pnnx, "EXEC_PATH", "false")
    with pytest.raises(ExportError, match=r"pnnx .* ended with code 1 and said: nothing"):
        write(source("mobilefacenet"), tmp_path / "m.param")
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_otherwise_is_refused(source, tmp_path, monkeypatch) -> None:
    """The network that pnnx is given is another one than the source."""
    rows = [(4, *row[1:]) for row in FEW_ROWS]
    network = create_model("mobilefacenet", image_size=32, embedding_size=16, rows=rows)
    other = save(as_trained(network), tmp_path / "other.safetensors")
    good = write(other, tmp_path / "made" / "other.param").path
    monkeypatch.setattr(
        "pocketface.deploy.ncnn_export._convert", lambda _: (good, good.with_suffix(".bin"))
    )
    with pytest.raises(ExportError, match="does not compute what"):
        write(source("mobilefacenet"), tmp_path / "m.param")
    assert not list(tmp_path.glob("m.*"))
