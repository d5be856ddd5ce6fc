"""`enroll`, `identify`, `gallery` and `verify` on photographs, as they are typed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketface.card import ModelCard, Threshold, sha256_of, write_card
from pocketface.cli.main import app
from pocketface.errors import GalleryError, PocketFaceError, RecipeError
from pocketface.gallery import SqliteGallery
from pocketface.gallery.open_set import false_positive_rate
from pocketface.preprocessing import Preprocessing

FOREIGN = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5"]


def call(*arguments: object) -> tuple[int, str, str]:
    """Run the command; errors are raised as they are, `main` would print them."""
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    return outcome.exit_code, outcome.stdout, outcome.stderr


def threshold(similarity: float, *, flip: bool = True) -> Threshold:
    return Threshold(
        benchmark="pairs",
        far=1e-3,
        measured_far=0.002,
        tar=0.9,
        similarity=similarity,
        impostor_pairs=5000,
        flip=flip,
    )


def give_card(weights: Path, *thresholds: Threshold) -> None:
    card = ModelCard(
        architecture="foreign",
        embedding_size=8,
        preprocessing=Preprocessing(image_size=32),
        sha256=sha256_of(weights),
        thresholds=list(thresholds),
    )
    write_card(weights, card)


@pytest.fixture
def workplace(
    tmp_path: Path,
    tiny_onnx: Callable[..., Path],
    coarse_people: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A network with a threshold, and six people with three aligned faces each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POCKETFACE_DETECTOR", raising=False)
    monkeypatch.delenv("POCKETFACE_GALLERY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no cache"))
    give_card(tiny_onnx(tmp_path / "net.onnx"), threshold(0.9))
    coarse_people(tmp_path / "faces", people=6, images=3, noise=4)
    return tmp_path


def enroll(*more: object) -> tuple[int, str, str]:
    return call("enroll", "-g", "people.gallery", "-w", "net.onnx", *more)


def identify(*more: object) -> tuple[int, str, str]:
    return call("identify", "-g", "people.gallery", "-w", "net.onnx", *more)


def face(person: int, image: int = 1) -> str:
    return f"faces/Person_{person:02d}/Person_{person:02d}_{image:04d}.png"


def test_a_person_is_enrolled_and_found_and_a_stranger_is_not(workplace: Path) -> None:
    code, out, _ = enroll("Ada", face(0, 1), face(0, 2))
    assert (code, out.splitlines()[0]) == (0, "2 of 2 photographs enrolled.")
    code, out, _ = enroll("Ada", face(0, 1), face(0, 3))
    assert "1 of 2 photographs enrolled, 1 were there before." in out
    assert "1 people, 3 templates" in out
    code, out, _ = enroll("Bo", face(1))
    code, out, _ = identify(face(0, 1), face(1, 2))
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"{face(0, 1)}: Ada, similarity 1.0000"
    assert lines[1].startswith(f"{face(1, 2)}: Bo, similarity 0.9")
    low, high = false_positive_rate(0.002, 2), false_positive_rate(0.002, 4)
    assert f"one of these 2 people in about {low:.2%} to {high:.2%} of cases" in out
    code, out, _ = identify(face(2), "--top", 2)
    assert code == 1
    assert ": unknown, nearest " in out


def test_identify_answers_a_program(workplace: Path) -> None:
    enroll("--folder", "faces")
    code, out, _ = identify(face(3, 2), "--json", "--top", 3)
    answer = json.loads(out)
    assert code == 0
    assert answer["threshold"] == 0.9
    assert answer["far"] == 0.002
    assert answer["fpir"] == [false_positive_rate(0.002, 6), false_positive_rate(0.002, 18)]
    (photo,) = answer["photos"]
    (found,) = photo["faces"]
    assert found["person"] == "Person_03"
    assert found["candidates"][0]["photo"] == "Person_03/Person_03_0002.png"
    assert len(found["candidates"]) == 3


def test_a_folder_is_enrolled_and_the_refused_are_told(workplace: Path) -> None:
    (workplace / face(1, 2)).write_bytes(b"\x89PNG broken")
    Image.new("RGB", (50, 40)).save(workplace / face(2, 1))
    (workplace / "faces/Person_00/notes.txt").write_text("no face")
    with pytest.raises(RecipeError, match=r"50 x 40 pixels.*no face detector is there"):
        enroll("--folder", "faces")
    (workplace / face(2, 1)).unlink()
    code, out, _ = enroll("--folder", "faces")
    assert code == 1
    assert "of 17 photographs enrolled" in out
    assert "Refused: 2" in out
    assert "Person_01/Person_01_0002.png: not a JPEG, PNG" in out
    assert "Person_00/notes.txt: not an image by its ending" in out
    code, out, _ = enroll("--folder", "faces", "--json")
    answer = json.loads(out)
    assert (code, answer["added"], answer["known"], answer["templates"]) == (1, 0, 16, 16)
    assert {each["photo"] for each in answer["refused"]} == {
        "Person_00/notes.txt",
        "Person_01/Person_01_0002.png",
    }


def test_quality_is_asked_of_aligned_faces_as_far_as_it_can_be(workplace: Path) -> None:
    Image.new("RGB", (32, 32), (5, 5, 5)).save("dark.png")
    code, out, _ = enroll("Ada", "dark.png", "--min-quality", "brightness=50")
    assert code == 1
    assert "below --min-quality: dark: brightness 5 of 255: limit 50" in out
    enroll("Ada", face(0))
    code, out, _ = identify("dark.png", "--min-quality", "brightness=50")
    assert code == 1
    assert "dark.png: too poor to tell: dark: brightness 5" in out


def test_without_a_threshold_one_must_be_given(workplace: Path) -> None:
    enroll("Ada", face(0))
    give_card(workplace / "net.onnx")
    with pytest.raises(RecipeError, match=r"no threshold is known for net\.onnx.*--threshold"):
        identify(face(0))
    code, out, _ = identify(face(0), "--threshold", 0.5)
    assert code == 0
    assert "how often a stranger passes it is not known" in out
    with pytest.raises(RecipeError, match="--threshold is a cosine from -1 to 1, got 2"):
        identify(face(0), "--threshold", 2)
    give_card(workplace / "net.onnx", threshold(0.9))
    with pytest.raises(RecipeError, match=r"no threshold is known for a FAR of 0\.5"):
        identify(face(0), "--far", 0.5)


def test_a_threshold_of_the_other_mirror_is_refused(workplace: Path) -> None:
    enroll("Ada", face(0), "--no-flip")
    with pytest.raises(RecipeError, match=r"measured with mirror.*made without mirror.*--flip"):
        identify(face(0))
    with pytest.raises(GalleryError, match="Use --no-flip"):
        enroll("Ada", face(0), "--flip")
    give_card(workplace / "net.onnx", threshold(0.9, flip=False))
    assert identify(face(0))[0] == 0
    (workplace / "people.gallery").unlink()
    enroll("Ada", face(0))
    with SqliteGallery(workplace / "people.gallery") as gallery:
        assert not gallery.maker.flip


def test_what_cannot_be_carried_out_is_told(workplace: Path) -> None:
    for arguments in ((), ("Ada",), ("Ada", face(0), "--folder", "faces")):
        with pytest.raises(RecipeError, match="either NAME PHOTO"):
            enroll(*arguments)
    with pytest.raises(GalleryError, match="no such gallery"):
        identify(face(0))
    with pytest.raises(GalleryError, match="cannot be a person's name"):
        enroll("", face(0))
    with pytest.raises(PocketFaceError, match="--min-quality knows no"):
        enroll("Ada", face(0), "--min-quality", "good")
    enroll("Ada", face(0))
    code, out, _ = identify("missing.png", face(0))
    assert code == 2
    assert "missing.png: no such file" in out
    assert "Ada" in out


def test_two_networks_never_meet_in_a_gallery(
    workplace: Path, tiny_onnx: Callable[..., Path]
) -> None:
    enroll("Ada", face(0))
    other = tiny_onnx(workplace / "other.onnx", bias=1.0)
    give_card(other, threshold(0.9))
    for command in (["enroll", "Bo"], ["identify"]):
        with pytest.raises(GalleryError, match=r"net\.onnx.*other\.onnx"):
            call(*command, face(1), "-g", "people.gallery", "-w", other)


def test_re_enrolment_brings_everybody_over(
    workplace: Path, tiny_onnx: Callable[..., Path]
) -> None:
    enroll("--folder", "faces", "--keep-crops")
    identify(face(0))
    other = tiny_onnx(workplace / "other.onnx", dimension=12, bias=0.1)
    card = ModelCard(
        architecture="foreign",
        embedding_size=12,
        preprocessing=Preprocessing(image_size=32),
        sha256=sha256_of(other),
        thresholds=[threshold(0.8)],
    )
    write_card(other, card)
    code, out, _ = call("gallery", "re-enroll", "-g", "people.gallery", "--model", other)
    assert (code, out.splitlines()) == (
        0,
        ["18 templates of people.gallery are made with other.onnx now."],
    )
    with pytest.raises(GalleryError, match=r"other\.onnx.*net\.onnx"):
        identify(face(0))
    for person in range(6):
        answer = json.loads(
            call("identify", face(person, 3), "-g", "people.gallery", "-w", other, "--json")[1]
        )
        (found,) = answer["photos"][0]["faces"]
        assert found["person"] == f"Person_{person:02d}"
        assert found["candidates"][0]["similarity"] == pytest.approx(1, abs=1e-6)
    assert call("gallery", "check", "-g", "people.gallery")[:2] == (
        0,
        "people.gallery: all is well\n",
    )


def test_without_kept_faces_nothing_can_be_brought_over(workplace: Path) -> None:
    enroll("Ada", face(0))
    with pytest.raises(GalleryError, match="1 of 1 templates have no aligned face"):
        call("gallery", "re-enroll", "-g", "people.gallery", "-w", "net.onnx")
    with pytest.raises(GalleryError, match="keeps no aligned faces; that was settled"):
        enroll("Ada", face(0), "--keep-crops")


def test_list_stats_export_and_remove(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETFACE_GALLERY", "people.gallery")
    enroll("--folder", "faces")
    _, out, _ = call("gallery", "list")
    assert out.splitlines() == [f"Person_{i:02d}  3" for i in range(6)]
    assert json.loads(call("gallery", "list", "--json")[1])[0] == {
        "name": "Person_00",
        "templates": 3,
    }
    assert "templates      18" in call("gallery", "stats")[1]
    stats = json.loads(call("gallery", "stats", "--json")[1])
    assert (stats["people"], stats["keeps_crops"], stats["model"]) == (6, False, "net.onnx")
    assert "18 templates: out.npz" in call("gallery", "export", "-o", "out.npz")[1]
    with pytest.raises(RecipeError, match="is there already"):
        call("gallery", "export", "-o", "out.npz")
    with np.load("out.npz") as content:
        assert content["embeddings"].shape == (18, 8)
        np.testing.assert_allclose(np.linalg.norm(content["embeddings"], axis=1), 1, atol=1e-6)
        assert content["people"].tolist() == [f"Person_{i:02d}" for i in range(6)]
        assert content["names"][3] == "Person_01/Person_01_0001.png"
        assert content["labels"].tolist() == [i // 3 for i in range(18)]
        assert json.loads(str(content["about"]))["model"] == stats["fingerprint"]
    assert call("gallery", "remove", "Person_02")[1] == "removed Person_02: 3 templates\n"
    with pytest.raises(GalleryError, match="nobody is called 'Person_02'"):
        call("gallery", "remove", "Person_02")
    assert identify(face(2))[0] == 1


def test_check_finds_what_is_wrong(workplace: Path) -> None:
    enroll("Ada", face(0), face(1))
    enroll("Bo", face(1))
    identify(face(0))
    code, out, _ = call("gallery", "check", "-g", "people.gallery")
    assert code == 1
    assert "one photograph is enrolled under several names" in out
    call("gallery", "remove", "Bo", "-g", "people.gallery")
    assert call("gallery", "check", "-g", "people.gallery")[0] == 0
    block = workplace / "people.gallery.float32"
    content = bytearray(block.read_bytes())
    content[-40:] = b"\x01" * 40
    block.write_bytes(content)
    code, out, _ = call("gallery", "check", "-g", "people.gallery", "--json")
    assert code == 1
    assert "people.gallery.float32 was not what the database holds" in json.loads(out)["found"][0]
    assert not block.exists()
    with SqliteGallery(workplace / "people.gallery") as gallery:
        gallery._connection.execute("UPDATE template SET vector = zeroblob(32) WHERE id = 1")
    assert (
        "1 vectors are not of unit length (templates 1)"
        in (call("gallery", "check", "-g", "people.gallery")[1])
    )


def test_the_gallery_holds_no_photograph_unless_asked(workplace: Path) -> None:
    """Nor an aligned face: no PNG is in it."""
    for keep in (False, True):
        option = "--keep-crops" if keep else "--no-keep-crops"
        call("enroll", "Ada", face(0), "-g", f"{keep}.gallery", "-w", "net.onnx", option)
        assert (b"PNG" in (workplace / f"{keep}.gallery").read_bytes()) == keep


def test_photographs_as_they_come(workplace: Path, real_data: Path) -> None:
    """With the detector and real photographs: each face is answered, several are named."""
    pytest.importorskip("cv2")
    detector = ["--detector", real_data / "weights" / "yunet_n_dynamic.onnx"]
    two = real_data / "photos" / "7201" / "017588.jpg"
    one = real_data / "photos" / "7201" / "001085.jpg"
    code, out, _ = enroll("Ada", one, two, *detector)
    assert code == 1
    assert "1 of 2 photographs enrolled" in out
    assert "017588.jpg: 2 faces (1: 217 x 302 pixels at" in out
    code, out, _ = enroll("Ada", two, *detector, "--largest")
    assert code == 0
    code, out, _ = identify(two, *detector, "--threshold", "0.999")
    assert code == 1
    assert f"{two}, face 1 of 2 (217 x 302 pixels at " in out
    assert ": Ada, similarity 1.0000" in out
    answer = json.loads(identify(one, *detector, "--json")[1])
    (found,) = answer["photos"][0]["faces"]
    assert found["person"] == "Ada"
    assert len(found["box"]) == 4
    code, out, _ = call("verify", one, one, "-w", "net.onnx", *detector)
    assert (code, out.splitlines()[0]) == (
        0,
        "same person: similarity 1.0000, threshold 0.9000",
    )
    sha256 = hashlib.sha256(one.read_bytes()).hexdigest()
    with SqliteGallery(workplace / "people.gallery") as gallery:
        assert gallery.has("Ada", sha256)
