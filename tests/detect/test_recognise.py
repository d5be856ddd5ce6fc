"""What is taken for an aligned face, which face of several is meant, and the reasons in words."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detect_made_photos import HEIGHT, WIDTH, MadeDetector, write_photo
from PIL import Image

from pocketface.data.alignment import align_face
from pocketface.detect.photo import read_photo
from pocketface.detect.quality import parse_limits
from pocketface.detect.recognise import Recogniser
from pocketface.embedding import Embedder, load_embedder
from pocketface.embedding.flip import flip_sum
from pocketface.errors import DataError, RecipeError
from pocketface.preprocessing import Preprocessing


@pytest.fixture
def embedder(tmp_path: Path, tiny_onnx: Callable[..., Path]) -> Embedder:
    return load_embedder(tiny_onnx(tmp_path / "tiny.onnx"), Preprocessing(image_size=32))


def nobody() -> MadeDetector:
    raise RecipeError("no face detector is there: get one.")


def png(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("side", [112, 32])
def test_an_aligned_face_needs_no_detector(embedder: Embedder, side: int) -> None:
    data = png(side, side)
    photo = Recogniser(embedder, nobody, flip=True).see(data, "a.png")
    assert photo.aligned
    assert photo.sha256 == hashlib.sha256(data).hexdigest()
    face = photo.one_face()
    assert face.found is None
    assert face.quality is None
    np.testing.assert_array_equal(face.crop, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize(("height", "width"), [(113, 113), (112, 96), (160, 160)])
def test_any_other_picture_needs_one_or_a_word(embedder: Embedder, height: int, width: int) -> None:
    data = png(height, width)
    with pytest.raises(RecipeError, match=rf"b\.png has {width} x {height} .*--aligned yes"):
        Recogniser(embedder, nobody, flip=True).see(data, "b.png")
    told = Recogniser(embedder, nobody, flip=True, aligned="yes")
    if height == width:
        assert told.see(data, "b.png").one_face().crop.shape == (height, width, 3)
    else:
        with pytest.raises(DataError, match=f"square, this picture has {width} x {height}"):
            told.see(data, "b.png")


def test_a_small_photograph_is_searched_when_asked(embedder: Embedder) -> None:
    with pytest.raises(RecipeError, match="no face detector"):
        Recogniser(embedder, nobody, flip=True, aligned="no").see(png(112, 112), "c.png")


def test_a_photograph_gives_the_crop_of_align_and_its_embedding(
    embedder: Embedder, tmp_path: Path
) -> None:
    write_photo(tmp_path / "one.png", 1)
    made: list[MadeDetector] = []

    def make() -> MadeDetector:
        made.append(MadeDetector())
        return made[-1]

    for flip in (True, False):
        recogniser = Recogniser(embedder, make, flip=flip)
        face = recogniser.read(tmp_path / "one.png").one_face()
        recogniser.read(tmp_path / "one.png")
        picture = read_photo(tmp_path / "one.png")
        (found,) = MadeDetector().detect(picture)
        crop = align_face(picture, found.landmarks)
        np.testing.assert_array_equal(face.crop, crop)
        wanted = flip_sum(embedder, crop[None]) if flip else embedder.embed(crop[None])
        np.testing.assert_array_equal(recogniser.embed([face]), wanted)
    assert len(made) == 2


def test_several_faces_are_named_and_the_largest_is_taken_when_asked(
    embedder: Embedder, tmp_path: Path
) -> None:
    write_photo(tmp_path / "three.png", 3)
    photo = Recogniser(embedder, MadeDetector, flip=True).read(tmp_path / "three.png")
    assert len(photo.faces) == 3
    with pytest.raises(DataError, match=r"3 faces \(1: 110 x 110 pixels at 10, 10; 2: .*--largest"):
        photo.one_face()
    assert photo.one_face(largest=True) is photo.faces[0]


def test_no_face_and_a_poor_face_are_refused_with_the_reason(
    embedder: Embedder, tmp_path: Path
) -> None:
    write_photo(tmp_path / "none.png", 0)
    write_photo(tmp_path / "one.png", 1)
    strict = Recogniser(embedder, MadeDetector, flip=True, limits=parse_limits("eyes=60"))
    with pytest.raises(DataError, match=f"no face found in {WIDTH} x {HEIGHT}"):
        strict.read(tmp_path / "none.png").one_face()
    with pytest.raises(DataError, match="small: eyes 35 pixels apart: limit 60"):
        strict.read(tmp_path / "one.png").one_face()


def test_of_an_aligned_face_only_what_can_be_known_is_asked(embedder: Embedder) -> None:
    flat = io.BytesIO()
    Image.new("RGB", (112, 112), (9, 9, 9)).save(flat, "PNG")
    limits = parse_limits("eyes=60,turn=0,score=1,brightness=30")
    face = Recogniser(embedder, nobody, flip=True, limits=limits).see(flat.getvalue(), "d").faces[0]
    assert face.faults == ["dark: brightness 9 of 255: limit 30"]
