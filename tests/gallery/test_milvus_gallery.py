"""Milvus Lite beside a gallery of one file: the same deeds, the same answers; what goes wrong."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gallery_made import MAKER, OTHER, SIZE, filled, template
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.errors import GalleryError, MissingExtraError, RecipeError
from pocketface.gallery import SqliteGallery
from pocketface.gallery.milvus_audit import audit_milvus
from pocketface.gallery.milvus_collection import key_of
from pocketface.gallery.milvus_gallery import MilvusGallery
from pocketface.gallery.recall import measure_recall
from pocketface.gallery.transfer import copy_gallery
from pocketface.gallery.where import gallery_at, is_begun

pytestmark = pytest.mark.slow

NAMES = ["Ada", "Ada B", 'Bo "the" \\ Cy', "Dé", "100% {x}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder of Milvus Lite that stays open; each test has a collection of its own in it."""
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
    where = f"milvus:{tmp_path_factory.mktemp('lite') / 'people.db'}"
    with gallery_at(f"{where}#kept_open", MAKER):
        yield where


@pytest.fixture
def where(folder: str, request: pytest.FixtureRequest) -> str:
    name = "".join(each if each.isalnum() else "_" for each in request.node.name)
    return f"{folder}#{name}"


@pytest.mark.parametrize("seed", range(6))
def test_both_galleries_answer_alike(where: str, tmp_path: Path, seed: int) -> None:
    """Enrolled in any order, in parts, again, and removed; twins among the faces."""
    generator = np.random.default_rng(seed)
    faces = generator.standard_normal((60, SIZE)).astype(np.float32)
    faces[40:] = faces[generator.integers(40, size=20)]
    with gallery_at(where, MAKER) as milvus, SqliteGallery(tmp_path / "g", MAKER) as sqlite:
        assert milvus.search(faces[:2], 3) == sqlite.search(faces[:2], 3) == [[], []]
        for _ in range(15):
            name = str(generator.choice(NAMES))
            rows = generator.integers(len(faces), size=generator.integers(1, 5))
            templates = [template(faces[row], f"{row}.jpg") for row in rows]
            assert milvus.enrol(name, templates) == sqlite.enrol(name, templates)
            assert milvus.has(name, templates[0].sha256)
            if generator.random() < 0.2:
                assert milvus.remove(name) == sqlite.remove(name)
                assert not milvus.has(name, templates[0].sha256)
            queries = np.concatenate([faces[rows[:1]], generator.standard_normal((2, SIZE))])
            for k in (1, 2, 9):
                assert milvus.search(queries, k) == sqlite.search(queries, k)
        assert milvus.people() == sqlite.people()
        assert exported(milvus) == exported(sqlite)
        assert milvus.stats().people == sqlite.stats().people
        assert milvus.stats().templates == sqlite.stats().templates
        assert milvus.stats().bytes > 0
    with gallery_at(where) as again:
        assert again.maker == MAKER
        assert exported(again)


def exported(gallery: SqliteGallery | MilvusGallery) -> list:
    return [
        (entry.person, entry.photo, entry.sha256, entry.vector.tobytes())
        for entry in gallery.export()
    ]


@pytest.mark.parametrize("index", ["FLAT", "HNSW", "IVF_FLAT"])
def test_a_copy_is_the_same_to_the_last_bit(where: str, tmp_path: Path, index: str) -> None:
    generator = np.random.default_rng(7)
    people = [f"person {i:04d}" for i in generator.integers(900, size=2500)]
    faces = generator.standard_normal((2500, SIZE))
    told: list[tuple[int, int]] = []
    with filled(tmp_path / "g", faces, people) as sqlite:
        with gallery_at(where, sqlite.maker, index=index) as milvus:
            assert copy_gallery(sqlite, milvus, lambda *each: told.append(each)) == 2500
            assert copy_gallery(sqlite, milvus) == 0
            assert exported(milvus) == exported(sqlite)
            assert milvus.index.kind == index
            assert milvus.index.exact == (index == "FLAT")
            found = measure_recall(milvus, 50, np.random.default_rng(0))
            assert found.faces == 50
            if index == "FLAT":
                assert milvus.search(faces[:40], 10) == sqlite.search(faces[:40], 10)
                assert found.at == {1: 1.0, 10: 1.0}
            assert found.at[1] > 0.9
        assert told[0] == (0, 2500)
        assert told[-1] == (2500, 2500)
        with pytest.raises(GalleryError, match=f"the index {index}, not"):
            gallery_at(where, index="HNSW" if index == "FLAT" else "FLAT")
        with SqliteGallery(tmp_path / "back", MAKER) as back, gallery_at(where) as milvus:
            assert copy_gallery(milvus, back) == 2500
            for mine, other in zip(back.export(), sqlite.export(), strict=True):
                assert (mine.person, mine.photo) == (other.person, other.photo)
                np.testing.assert_allclose(mine.vector, other.vector, atol=1e-7)
    with (
        SqliteGallery(tmp_path / "other", OTHER) as other,
        gallery_at(where) as milvus,
        pytest.raises(GalleryError, match="cannot be compared"),
    ):
        copy_gallery(other, milvus)


def test_check_names_what_another_program_wrote(where: str) -> None:
    with gallery_at(where, MAKER) as gallery:
        gallery.enrol("Ada", [template(np.ones(SIZE), "a.jpg"), template(np.eye(SIZE)[0], "b.jpg")])
        assert audit_milvus(gallery) == []
        gallery.enrol("Bo", [template(np.ones(SIZE), "a.jpg")])
        row = {"id": key_of("Cy", "0" * 64), "person": "Cy", "photo": "c.jpg", "enrolled": 1}
        gallery._table.upsert([{**row, gallery._vectors: np.full(SIZE, 2.0, np.float32)}])
        shared, length = audit_milvus(gallery)
    assert "several names: Ada, Bo" in shared
    assert "1 vectors are not of unit length (Cy, c.jpg)" in length


def test_the_commands_go_from_a_file_to_milvus(where: str, tmp_path: Path) -> None:
    """Copied by one command; then listed, checked, exported, and a person removed, over there."""
    generator = np.random.default_rng(5)
    path = tmp_path / "g"
    people = [f"person {i % 30:02d}" for i in range(70)]
    filled(path, generator.standard_normal((70, SIZE)), people).close()
    said = call("gallery", "copy", "-g", path, "--to", where, "--index", "HNSW")
    assert f"70 templates added. {where}: 30 people, 70 templates." in said
    assert "0 templates added" in call("gallery", "copy", "-g", path, "--to", where)
    assert call("gallery", "list", "-g", where) == call("gallery", "list", "-g", path)
    checked = json.loads(call("gallery", "check", "-g", where, "--faces", "20", "--json"))
    assert (checked["found"], checked["index"], checked["faces"]) == ([], "HNSW", 20)
    assert checked["recall"].keys() == {"1", "10"}
    assert "all is well\nIndex HNSW: recall@1 " in call("gallery", "check", "-g", where)
    assert "small.onnx" in call("gallery", "stats", "-g", where)
    call("gallery", "export", "-g", where, "--out", tmp_path / "milvus.npz")
    call("gallery", "export", "-g", path, "--out", tmp_path / "file.npz")
    with np.load(tmp_path / "milvus.npz") as mine, np.load(tmp_path / "file.npz") as other:
        assert all(np.array_equal(mine[name], other[name]) for name in other.files)
    assert "3 templates" in call("gallery", "remove", "-g", where, "person 07")
    assert "person 07" not in call("gallery", "list", "-g", where)
    with pytest.raises(RecipeError, match="keeps no aligned faces"):
        call("gallery", "re-enroll", "-g", where, "-w", "other.onnx")
    with pytest.raises(RecipeError, match="the gallery itself"):
        call("gallery", "copy", "-g", path, "--to", path)


def call(*arguments: object) -> str:
    """What the command prints; its errors are raised."""
    outcome = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_another_network_is_refused(where: str) -> None:
    gallery_at(where, MAKER).close()
    with pytest.raises(GalleryError, match=r"small\.onnx.*other\.onnx"):
        gallery_at(where, OTHER)


def test_a_collection_made_anew_by_another_network_is_noticed(where: str) -> None:
    """By a process that has it open: neither a search nor an enrolment goes through."""
    with gallery_at(where, MAKER) as gallery:
        gallery.enrol("Ada", [template(np.ones(SIZE))])
        gallery._client.drop_collection(gallery.address.collection)
        with pytest.raises(GalleryError):
            gallery.search(np.ones((1, SIZE)))
        with gallery_at(where, OTHER) as other:
            other.enrol("Bo", [template(np.ones(SIZE))])
            deeds: list[Callable[[], object]] = [
                lambda: gallery.search(np.ones((1, SIZE))),
                lambda: gallery.enrol("Ada", [template(np.ones(SIZE))]),
                lambda: list(gallery.export()),
            ]
            for deed in deeds:
                with pytest.raises(GalleryError, match=r"other\.onnx.*not with small\.onnx"):
                    deed()
            assert [person.name for person in other.people()] == ["Bo"]


def test_what_is_not_there_or_not_ours_is_told(where: str, folder: str) -> None:
    with pytest.raises(GalleryError, match="no such gallery"):
        gallery_at(where)
    assert not is_begun(where)
    with gallery_at(where, MAKER) as gallery:
        assert is_begun(where)
        gallery._client.create_collection("foreign", dimension=SIZE)
    with pytest.raises(GalleryError, match="not a gallery of ours"):
        gallery_at(f"{folder}#foreign", MAKER)


def test_nothing_is_enrolled_where_a_part_is_wrong(where: str) -> None:
    with gallery_at(where, MAKER) as gallery:
        good = template(np.ones(SIZE), "good")
        for bad, words in (
            ([good, template(np.zeros(SIZE), "bad")], "no direction"),
            ([good, template(np.ones(3), "short")], "16 numbers"),
            ([], "no template"),
        ):
            with pytest.raises(GalleryError, match=words):
                gallery.enrol("Ada", bad)
        with pytest.raises(GalleryError, match="name"):
            gallery.enrol("a\nb", [good])
        with pytest.raises(GalleryError, match=r"\(Q, 16\)"):
            gallery.search(np.ones((1, 3)))
        with pytest.raises(GalleryError, match="at least 1"):
            gallery.search(np.ones((1, SIZE)), 0)
        assert gallery.people() == []
        assert gallery.enrol("x" * 200, [good, good]) == 1
        assert gallery.enrol("é" * 200, [good]) == 1
        with pytest.raises(GalleryError, match="Did you mean"):
            gallery.remove("x" * 199)
        assert gallery.remove("x" * 200) == 1


def test_threads_share_one_gallery(where: str) -> None:
    faces = np.random.default_rng(3).standard_normal((40, SIZE))
    with gallery_at(where, MAKER) as gallery:

        def enrol(part: int) -> None:
            for row in range(part, 40, 4):
                gallery.enrol(f"{row}", [template(faces[row], f"{row}.jpg")])
                assert gallery.search(faces[row : row + 1])[0][0].person == f"{row}"

        threads = [threading.Thread(target=enrol, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [found[0].person for found in gallery.search(faces)] == [f"{i}" for i in range(40)]


def test_a_server_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the network's protocol; then nobody answers there any more."""
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    server = pytest.importorskip("milvus_lite.adapter.grpc.server")
    running, database, port = server.start_server_in_thread(str(tmp_path / "served"))
    where = f"http://127.0.0.1:{port}#staff"
    monkeypatch.setenv("POCKETFACE_MILVUS_TOKEN", "root:hush")
    try:
        with gallery_at(where, MAKER) as gallery:
            assert gallery._client._config.token == "root:hush"
            gallery.enrol("Ada", [template(np.ones(SIZE))])
            (matches,) = gallery.search(np.ones((1, SIZE)))
            assert (matches[0].person, matches[0].photo) == ("Ada", "a.jpg")
            assert gallery.stats().bytes == 0
    finally:
        running.stop(grace=None).wait()
        database.close()
    with pytest.raises(GalleryError, match="no Milvus answers there") as caught:
        gallery_at(where, MAKER)
    assert "hush" not in str(caught.value)


def test_a_folder_is_for_one_process(folder: str) -> None:
    code = (
        "import sys; from pocketface.gallery.where import gallery_at\n"
        "try: gallery_at(sys.argv[1])\nexcept Exception as error: print(repr(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
    )
    assert "another process has it open" in done.stdout
    assert done.stderr == ""


def test_a_closed_gallery_says_so_and_lets_the_folder_go(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
    where = f"milvus:{tmp_path / 'people.db'}"
    first, second = gallery_at(where, MAKER), gallery_at(where, MAKER)
    first.close()
    first.close()
    with pytest.raises(GalleryError, match="was closed"):
        first.people()
    second.enrol("Ada", [template(np.ones(SIZE))])
    second.close()
    (tmp_path / "people.db").rename(tmp_path / "moved.db")
    with gallery_at(f"milvus:{tmp_path / 'moved.db'}") as moved:
        assert [person.name for person in moved.people()] == ["Ada"]


@pytest.mark.parametrize("missing", ["pymilvus", "milvus_lite"])
def test_without_the_extra_it_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"pocketface\[milvus\]"):
        gallery_at(f"milvus:{tmp_path / 'people.db'}", MAKER)
