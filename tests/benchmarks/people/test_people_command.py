"""`pocketface evaluate --people` as it is typed: from a folder of people to a report."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketface.benchmarks.people.result import PeopleResult
from pocketface.benchmarks.report import read_any_report, read_report, read_scores
from pocketface.cli.main import app
from pocketface.data.record_writer import RecordWriter, pack
from pocketface.errors import DataError, PocketFaceError, RecipeError

NETWORK = ["--size", "32", "--order", "rgb", "--mean", "0.5", "--std", "0.5,0.5,0.5"]


def call(*arguments):
    """Run the command; errors are raised as they are, `main` would print them."""
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    return outcome.exit_code, outcome.stdout, outcome.stderr


@pytest.fixture
def workplace(tmp_path, tiny_onnx, coarse_people, monkeypatch):
    """A network and twelve people, four of them with one image."""
    monkeypatch.chdir(tmp_path)
    tiny_onnx(tmp_path / "tiny.onnx")
    faces = coarse_people(tmp_path / "faces", people=12, images=4, noise=25)
    for person in sorted(faces.iterdir())[8:]:
        for image in sorted(person.iterdir())[1:]:
            image.unlink()
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch):
    """Curves take seconds to draw; a test that does not look at them leaves them white."""
    white = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(white, "PNG")
    for name in ("roc", "det", "scores", "tpir", "cmc"):
        monkeypatch.setattr(
            f"pocketface.benchmarks.people.benchmark.{name}_png", lambda *_: white.getvalue()
        )


def evaluate(*more, weights="tiny.onnx", people="faces"):
    return call("evaluate", weights, "--people", people, "--replicates", 20, *NETWORK, *more)


def read(folder):
    return read_report(folder / "report.json", PeopleResult)


def test_from_a_folder_to_a_report_with_a_threshold(workplace):
    code, out, _ = evaluate("--far", "0.02")
    assert code == 0
    assert "Recommended" in out
    folder = workplace / "runs" / "tiny-on-faces"
    result = read(folder)
    assert read_any_report(folder / "report.json") == result
    assert (result.images, result.people, result.found) == (36, 12, 36)
    assert result.genuine_pairs == 8 * 6
    assert result.pairs == 36 * 35 // 2
    assert result.recommended.far == 0.02
    scores = read_scores(folder / "report.json")
    assert len(scores) == result.pairs
    accepted = np.count_nonzero(scores >= result.recommended.similarity.value)
    genuine = result.recommended.tar * result.genuine_pairs
    impostors = result.recommended.measured_far.value * result.impostor_pairs
    assert accepted == round(genuine + impostors)
    assert result.identification.gallery_sizes == {"A": 4, "B": 4}
    assert result.identification.mated == {"A": 8, "B": 8}
    assert result.identification.unmated == {"A": 12, "B": 12}
    assert len(result.findings) == 8
    page = (folder / "report.html").read_text()
    for text in ("Protocol (ours, seed 0)", "4 people with one image", "Recommended threshold"):
        assert text in page
    assert (folder / "table.tex").read_text().count("rank 1") == 1
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(
        ["roc.png", "det.png", "scores.png", "tpir.png", "cmc.png"]
    )


@pytest.mark.usefixtures("no_pictures")
def test_few_pairs_behind_a_figure_are_warned_about(workplace):
    _, out, _ = evaluate("--far", "0.003")
    text = " ".join(out.split())
    assert "Warning: TAR at FAR 0.003 rests on" in text
    assert "Warning: TPIR at FPIR 0.1 rests on 1.2 of 12 images of strangers" in text
    assert "TPIR at FPIR 0.01 needs at least 100 images of strangers; there are 12" in text
    _, out, _ = evaluate("--far", "1e-6")
    assert "Warning: no threshold can be recommended: a FAR of 1e-06 needs" in out
    assert read(workplace / "runs" / "tiny-on-faces").recommended is None


@pytest.mark.usefixtures("no_pictures")
def test_two_networks_are_compared_on_the_same_people(workplace, tiny_onnx):
    tiny_onnx(workplace / "other.onnx", dimension=3)
    evaluate("--out", "first")
    code, _, _ = evaluate("--out", "second", "--against", "first/report.json", weights="other.onnx")
    assert code == 0
    found = json.loads((workplace / "second" / "comparison.json").read_text())
    first, second = read(workplace / "first"), read(workplace / "second")
    assert first.data == second.data
    named = {entry["figure"]: entry for entry in found["differences"]}
    assert set(named) == set(second.figures())
    entry = named["Equal error rate"]
    assert entry["difference"]["value"] == pytest.approx(second.eer.value - first.eer.value)
    assert entry["difference"]["low"] < entry["difference"]["high"]
    with pytest.raises(RecipeError, match="--seed 0, this run has"):
        evaluate("--out", "third", "--against", "first/report.json", "--seed", 1)


@pytest.mark.usefixtures("no_pictures")
def test_a_second_run_uses_the_embeddings_and_finds_the_same(workplace):
    evaluate("--out", "report")
    first = read(workplace / "report")
    kept = (workplace / "report" / "embeddings" / "embeddings.npy").stat().st_mtime_ns
    evaluate("--out", "report")
    assert (workplace / "report" / "embeddings" / "embeddings.npy").stat().st_mtime_ns == kept
    second = read(workplace / "report")
    assert first.model_copy(update={"embedding_seconds": 0}) == second.model_copy(
        update={"embedding_seconds": 0}
    )
    with pytest.raises(DataError, match=r"another run: it differs in people"):
        evaluate("--out", "report", "--seed", 7)


@pytest.mark.usefixtures("no_pictures")
def test_faults_are_counted_in_the_report_and_shown_on_the_page(workplace):
    faces = workplace / "faces"
    shutil.copyfile(
        faces / "Person_00" / "Person_00_0001.png", faces / "Person_00" / "Person_00_0009.png"
    )
    (faces / "Person_01" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    shutil.move(faces / "Person_02" / "Person_02_0004.png", faces / "Person_02" / "kept.png")
    softer = Image.open(faces / "Person_02" / "kept.png").point(lambda value: int(0.9 * value) + 9)
    softer.save(faces / "Person_02" / "softer.png")
    _, out, _ = evaluate("--out", "report")
    told = {one.check: one for one in read(workplace / "report").findings}
    assert told["copies"].names == ("Person_00/Person_00_0009.png = Person_00/Person_00_0001.png",)
    assert told["unreadable"].count == 1
    assert told["unreadable"].names[0].startswith("Person_01/broken.png (")
    assert any(
        "Person_02/kept.png and Person_02/softer.png" in name for name in told["near copies"].names
    )
    assert "Warning: 1 image is of one person the same" in " ".join(out.split())
    page = (workplace / "report" / "report.html").read_text()
    assert "Nearly the same picture" in page
    assert "Person_01/broken.png" in page


@pytest.mark.usefixtures("no_pictures")
def test_a_rec_file_gives_the_same_figures(workplace):
    faces = workplace / "faces"
    images = sorted(faces.rglob("*.png"))
    people = sorted({path.parent.name for path in images})
    with RecordWriter(workplace / "faces2.rec") as writer:
        for key, path in enumerate(images):
            label = people.index(path.parent.name)
            writer.append(key, pack(float(label), key, path.read_bytes()))
    evaluate("--out", "folder")
    evaluate("--out", "record", people="faces2.rec")
    folder, record = read(workplace / "folder"), read(workplace / "record")
    assert folder.figures() == record.figures()
    assert folder.recommended == record.recommended


def empty(faces):
    shutil.rmtree(faces)
    faces.mkdir()


def one_person(faces):
    for person in sorted(faces.iterdir())[1:]:
        shutil.rmtree(person)


def one_image_each(faces):
    for person in faces.iterdir():
        for image in sorted(person.iterdir())[1:]:
            image.unlink()


def all_broken(faces):
    for image in faces.rglob("*.png"):
        image.write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty, "no image of any person is there"),
        (one_person, "1 people with 4 images give no pairs"),
        (one_image_each, "12 people with 12 images give no pairs"),
        (all_broken, r"none of the 36 images can be used.*Person_00_0001.png"),
    ],
)
def test_a_set_that_cannot_be_measured_says_why(workplace, spoil, message):
    spoil(workplace / "faces")
    with pytest.raises(DataError, match=message):
        evaluate()


@pytest.mark.usefixtures("no_pictures")
def test_one_person_with_several_images_leaves_the_search_out(workplace):
    one_image_each(workplace / "faces")
    for number in (1, 2, 3):
        picture = Image.open(workplace / "faces" / "Person_00" / "Person_00_0001.png")
        picture.rotate(2 * number).save(workplace / "faces" / "Person_00" / f"more{number}.png")
    code, out, _ = evaluate("--far", "0.05")
    assert code == 0
    assert "1:N was not measured" in out
    result = read(workplace / "runs" / "tiny-on-faces")
    assert result.identification is None
    assert result.recommended.fpir is None
    assert not (workplace / "runs" / "tiny-on-faces" / "figures" / "cmc.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.onnx"], "give either a BENCHMARK .* or --people"),
        (["tiny.onnx", "faces", "--people", "faces"], "give either a BENCHMARK"),
        (["tiny.onnx", "--people", "faces", "--images", "faces"], "give either a BENCHMARK"),
        (["tiny.onnx", "faces"], "a folder for each person goes with --people"),
        (["tiny.onnx", "list.json", "--images", "faces", "--far", "0.1"], "--far is for --people"),
        (["tiny.onnx", "--people", "faces", "--far", "2"], "--far must lie between 0 and 1"),
        (["tiny.onnx", "--people", "nowhere"], "nowhere: no such file or folder"),
        (["tiny.onnx", "--people", "faces", "--keep-norm"], "for IJB-B and IJB-C"),
        (["tiny.onnx", "--people", "faces", "--check-preprocessing"], "needs pairs"),
        (["faces", "--people", "faces"], "features can be measured on MegaFace only"),
    ],
)
def test_options_that_do_not_fit_say_what_to_give(workplace, arguments, message):
    with pytest.raises(PocketFaceError, match=message):
        call("evaluate", *arguments, *(NETWORK if "tiny.onnx" in arguments else []))
