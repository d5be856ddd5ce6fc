"""YuNet over OpenCV: real photographs where they are, and everything that is no YuNet."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketface.data.alignment import TEMPLATE
from pocketface.detect.detector import Face, choose_face
from pocketface.detect.onnx_shape import with_input_shape
from pocketface.detect.photo import read_photo
from pocketface.detect.yunet import YuNet
from pocketface.errors import DataError, MissingExtraError, RecipeError, WeightsError

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def yunet(real_data):
    return YuNet(real_data / "weights" / "yunet_n_dynamic.onnx")


@pytest.fixture(scope="module")
def photo(real_data):
    """A photograph with one face, whatever there is first."""
    return read_photo(min((real_data / "photos").glob("*/*.jpg")))


def resized(image, height, width):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def test_a_face_is_found_where_it_lies(yunet, photo):
    faces = yunet.detect(photo)
    assert faces
    left, top, right, bottom = faces[0].box
    eye_left, eye_right, nose, mouth_left, mouth_right = faces[0].landmarks
    assert left < eye_left[0] < eye_right[0] < right
    assert top < eye_left[1] < nose[1] < mouth_left[1] < bottom
    assert mouth_left[0] < mouth_right[0]
    assert 0.6 <= faces[0].score <= 1
    # The mirror has the same points, left and right exchanged.
    mirrored = yunet.detect(photo[:, ::-1])[0].landmarks
    back = mirrored[[1, 0, 2, 4, 3]] * (-1, 1) + (photo.shape[1] - 1, 0)
    size = np.linalg.norm(eye_right - eye_left)
    assert np.abs(back - faces[0].landmarks).max() < 0.15 * size


@pytest.mark.parametrize(("times", "near"), [(0.25, 0.3), (3.0, 0.15), (8.0, 0.15)])
def test_coordinates_are_those_of_the_photograph(yunet, photo, times, near):
    """Near in eye distances: in a picture a quarter as wide these are 13 pixels."""
    height, width = (round(side * times) for side in photo.shape[:2])
    face, other = yunet.detect(photo)[0], yunet.detect(resized(photo, height, width))[0]
    size = np.linalg.norm(face.landmarks[1] - face.landmarks[0])
    assert np.abs(other.landmarks / times - face.landmarks).max() < near * size


def test_aligned_crops_hold_their_face_at_the_template(yunet, real_data):
    paths = sorted((real_data / "lfw112").glob("A*/*_0001.jpg"))[:12]
    found = [yunet.detect(read_photo(path)) for path in paths]
    assert all(found)
    misses = [np.abs(faces[0].landmarks - TEMPLATE).mean() for faces in found]
    assert np.median(misses) < 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (700, 1), (33, 31), (9, 2000)])
def test_pictures_of_odd_shapes_are_looked_at(yunet, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert isinstance(yunet.detect(noise), list)


def test_a_face_larger_than_the_network_knows(yunet, photo):
    """The face alone, 1,500 pixels wide."""
    left, top, right, bottom = (round(side) for side in yunet.detect(photo)[0].box)
    close = photo[max(top, 0) : bottom, max(left, 0) : right]
    assert yunet.detect(resized(close, 1900, 1500))


@pytest.mark.parametrize(
    ("longer", "sizes"),
    [(50, [128]), (300, [300, 150]), (640, [640, 320]), (5000, [640, 320]), (256, [256])],
)
def test_at_which_sizes_a_photograph_is_looked_at(yunet, monkeypatch, longer, sizes):
    """Large ones shrunk, very small ones enlarged; again at half the size if nothing is seen."""
    seen = []
    monkeypatch.setattr(yunet, "_look", lambda image, size: seen.append(size) or [])
    assert yunet.detect(np.zeros((10, longer, 3), np.uint8)) == []
    assert seen == sizes


def test_images_of_another_kind_are_refused(yunet):
    for image in (
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
    ):
        with pytest.raises(DataError, match=r"uint8 of shape \(height, width, 3\)"):
            yunet.detect(image)


def test_files_that_are_no_yunet(tmp_path, tiny_onnx):
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "empty.onnx").touch()
    tiny_onnx(tmp_path / "other.onnx")
    for name in ("text.onnx", "empty.onnx", "other.onnx"):
        with pytest.raises(WeightsError, match=r"is not a YuNet .*pocketface detector fetch"):
            YuNet(tmp_path / name)
    for name in ("absent.onnx", "."):
        with pytest.raises(WeightsError, match="cannot be read"):
            YuNet(tmp_path / name)


def test_numbers_out_of_range():
    with pytest.raises(RecipeError, match="between 0 and 1, got 1"):
        YuNet(Path("x"), min_score=1.0)
    with pytest.raises(RecipeError, match="64 to 4096 pixels, got 32"):
        YuNet(Path("x"), working_size=32)


def test_without_opencv_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pocketface\[detect\]'"):
        YuNet(Path("x"))


def test_opencv_is_not_imported_before_it_is_needed():
    code = "import sys, pocketface.detect, pocketface.detect.yunet; print('cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_fixing_the_input_changes_nothing_else(tmp_path, tiny_onnx):
    onnx = pytest.importorskip("onnx")
    path = tiny_onnx(tmp_path / "free.onnx", free_sides=True)
    found = onnx.load_from_string(with_input_shape(path.read_bytes(), (1, 3, 640, 300)))
    wanted = onnx.load(path)
    sides = wanted.graph.input[0].type.tensor_type.shape.dim
    for side, value in zip(sides, (1, 3, 640, 300), strict=True):
        side.dim_value = value
    assert found == wanted
    assert found != onnx.load(path)
    with pytest.raises(ValueError, match="4 sides, not 2"):
        with_input_shape(path.read_bytes(), (1, 3))
    for length in (0, 7, 40, len(path.read_bytes()) - 3):
        with pytest.raises(ValueError, match=r"cut short|has no field"):
            with_input_shape(path.read_bytes()[:length], (1, 3, 640, 640))


def face(left, top, right, bottom, score=0.9):
    return Face((left, top, right, bottom), score, np.zeros((5, 2)))


def test_the_largest_face_is_meant():
    faces = [face(0, 0, 20, 20, 0.95), face(100, 50, 160, 110, 0.7)]
    choice = choose_face(faces, 200, 200)
    assert choice.place == 1
    assert choice.reason == "the largest of 2, 3.0 times as wide as the next"
    assert choose_face(faces[:1], 200, 200) == (0, "the only face")


def test_of_faces_of_one_size_the_middle_one_is_meant():
    faces = [
        face(0, 80, 40, 120),
        face(75, 80, 110, 115),
        face(150, 80, 190, 120),
        face(0, 0, 9, 9),
    ]
    choice = choose_face(faces, 200, 200)
    assert choice.place == 1
    assert choice.reason == "the nearest to the middle of 3 of about one size (4 faces)"


@pytest.mark.slow
def test_all_photographs_are_detected(yunet, real_data):
    paths = sorted((real_data / "photos").glob("*/*.jpg"))
    assert len(paths) == 58
    assert [path.name for path in paths if not yunet.detect(read_photo(path))] == []


@pytest.mark.slow
def test_another_opencv_finds_the_same(yunet, photo, real_data, tmp_path):
    """With POCKETFACE_OTHER_OPENCV a folder into which another version of OpenCV is installed."""
    folder = os.environ.get("POCKETFACE_OTHER_OPENCV")
    if not folder:
        pytest.skip("POCKETFACE_OTHER_OPENCV names no other OpenCV")
    np.save(tmp_path / "photo.npy", photo)
    code = (
        "import sys, cv2, numpy as np; from pathlib import Path;"
        "from pocketface.detect.yunet import YuNet;"
        "faces = YuNet(Path(sys.argv[1])).detect(np.load(sys.argv[2]));"
        "np.save(sys.argv[3], [face.landmarks for face in faces]); print(cv2.__version__)"
    )
    weights = real_data / "weights" / "yunet_n_dynamic.onnx"
    names = [str(weights), str(tmp_path / "photo.npy"), str(tmp_path / "found.npy")]
    done = subprocess.run(
        [sys.executable, "-c", code, *names],
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split(".")[0] != cv2.__version__.split(".")[0]
    wanted = [face.landmarks for face in yunet.detect(photo)]
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), wanted, atol=0.05)
