"""`pocketface.Embedder`, as a program that has no torch uses it."""

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pocketface
from pocketface.benchmarks.thresholds import choose_threshold
from pocketface.card import ModelCard, sha256_of, write_card
from pocketface.embedding import load_embedder
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.flip import embed_faces
from pocketface.errors import DataError, WeightsError
from pocketface.preprocessing import Preprocessing

SMALL = Preprocessing(image_size=32)

NEEDED = {
    "PIL",
    "annotated_types",
    "cython_runtime",  # no package: compiled modules leave it
    "numpy",
    "onnxruntime",
    "pydantic",
    "pydantic_core",
    "simplejpeg",
    "typing_extensions",
    "typing_inspection",
}
"""What may be imported to run an exported file; all of it comes with the plain install."""


@pytest.fixture
def network(tiny_onnx, tmp_path) -> Path:
    path = tiny_onnx(tmp_path / "model.onnx")
    card = ModelCard(
        architecture="foreign", embedding_size=8, preprocessing=SMALL, sha256=sha256_of(path)
    )
    write_card(path, card)
    return path


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    generator = np.random.default_rng(0)
    made = []
    for name in ("a.jpg", "b.jpg"):
        face = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(face).resize((40, 40)).save(tmp_path / name, quality=95)
        made.append(tmp_path / name)
    return made


def test_it_is_what_load_embedder_gives(network) -> None:
    loaded, wanted = pocketface.Embedder.load(str(network), threads=1), load_embedder(network)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loaded.embed(images), wanted.embed(images))
    for name in ("embedding_size", "fingerprint", "preprocessing", "card"):
        assert getattr(loaded, name) == getattr(wanted, name)
    passed: Embedder = loaded  # wherever an embedder is asked for
    assert embed_faces(passed, list(images), flip=True).shape == (3, 8)
    assert choose_threshold(loaded.card, 1e-3) is None


def test_comparing_is_the_pair_protocol(network, pictures) -> None:
    embedder = pocketface.Embedder.load(network)
    sums, plain = [], []
    for path in pictures:
        face = embedder.read(path)
        outputs = embedder.embed(np.stack([face, face[:, ::-1]])).astype(float)
        sums.append(outputs[0] + outputs[1])
        plain.append(outputs[0])

    def cosine(rows: list[np.ndarray]) -> float:
        return float(rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1]))

    assert embedder.compare(*pictures) == pytest.approx(cosine(sums))
    assert embedder.compare(*pictures, flip=False) == pytest.approx(cosine(plain))
    assert embedder.compare(pictures[0], pictures[0]) == pytest.approx(1)


def test_the_example_runs_as_it_stands(network, pictures, tmp_path) -> None:
    """In an interpreter of its own, which needs nothing beyond the plain install."""
    text = inspect.getdoc(pocketface.Embedder)
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("    import numpy"))
    last = max(i for i, line in enumerate(lines) if line.startswith("    "))
    code = textwrap.dedent("\n".join(lines[first : last + 1]))
    assert "Embedder.load" in code
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        "for name in ('torch', 'onnx', 'matplotlib', 'safetensors'): sys.modules[name] = None\n"
        f"{code}\nassert -1 <= cosine <= 1 and isinstance(same, (bool, np.bool_))\n"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before if sys.modules[name]})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    others = {name for name in done.stdout.split() if not name.startswith("_")}
    assert others - {"pocketface"} - sys.stdlib_module_names <= NEEDED


def test_it_is_light_and_the_name_is_the_only_one() -> None:
    assert set(pocketface.__all__) == {"Embedder", "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'Embeder'"):
        pocketface.Embeder  # noqa: B018


WRONG = {
    "grey image": (np.zeros((32, 32), np.uint8), r"\(32, 32\)"),
    "grey images": (np.zeros((2, 32, 32), np.uint8), r"are grey: make them RGB"),
    "one channel": (np.zeros((2, 32, 32, 1), np.uint8), r"are grey: repeat the channel"),
    "four channels": (np.zeros((2, 32, 32, 4), np.uint8), r"transparency: leave it out"),
    "no batch": (np.zeros((32, 32, 3), np.uint8), r"a batch of one: images\[None\]"),
    "channels first": (np.zeros((2, 3, 32, 32), np.uint8), r"Put the channels last"),
    "113x112": (np.zeros((1, 113, 112, 3), np.uint8), r"square, got 112 x 113"),
    "nan": (np.full((1, 32, 32, 3), np.nan, np.float32), r"Got float32 .* pixels 0 to 255"),
    "floats": (np.zeros((1, 32, 32, 3)), r"Got float64 .* pixels 0 to 255"),
    "signed": (np.zeros((1, 32, 32, 3), np.int64), r"Got int64"),
    "nothing": (np.zeros((1, 0, 0, 3), np.uint8), r"square, got 0 x 0"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_images_are_told_what_to_do(network, kind) -> None:
    images, message = WRONG[kind]
    with pytest.raises(DataError, match=message):
        pocketface.Embedder.load(network).embed(images)


def test_wrong_files_are_told_by_name(network, pictures, tiny_onnx, tmp_path) -> None:
    embedder = pocketface.Embedder.load(network)
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "cut.jpg").write_bytes(pictures[0].read_bytes()[:200])
    Image.new("RGB", (112, 113)).save(tmp_path / "tall.png")
    for name in ("text.jpg", "cut.jpg", "missing.jpg", ".", "tall.png"):
        with pytest.raises(DataError):
            embedder.compare(pictures[0], tmp_path / name)
    whole = network.read_bytes()
    (tmp_path / "corrupt.onnx").write_bytes(whole[: len(whole) // 2])
    tiny_onnx(tmp_path / "foreign.onnx")
    messages = {
        ".": "is a folder",
        "missing.onnx": "is not there",
        "corrupt.onnx": "is not an ONNX network",
        "foreign.onnx": "--size, --order, --mean and --std",
        "a.jpg": "ends in '.jpg'",
    }
    for name, message in messages.items():
        with pytest.raises(WeightsError, match=message):
            pocketface.Embedder.load(tmp_path / name)
    assert pocketface.Embedder.load(tmp_path / "foreign.onnx", preprocessing=SMALL).card is None
