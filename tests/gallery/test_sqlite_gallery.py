"""Enrolling and removing against a dictionary, makers, damage, blocks, full disks."""

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from gallery_made import MAKER, OTHER, SIZE, filled, template
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pocketface.errors import GalleryError
from pocketface.gallery import Maker, Person, SqliteGallery
from pocketface.gallery.block import Block

NAMES = st.sampled_from(["Ada", "Bo", "Cy", "Dé"])


class GalleryAgainstDictionary(RuleBasedStateMachine):
    """Two objects on one file, as two processes would have: one of either precision."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp())
        path = self.folder / "people.gallery"
        self.open = [SqliteGallery(path, MAKER), SqliteGallery(path, MAKER, precision="float16")]
        self.model: dict[str, dict[str, np.ndarray]] = {}

    @rule(name=NAMES, seed=st.integers(0, 30), which=st.integers(0, 1))
    def enrol(self, name: str, seed: int, which: int) -> None:
        vector = np.random.default_rng(seed).standard_normal(SIZE)
        known = self.model.setdefault(name, {})
        added = self.open[which].enrol(name, [template(vector, f"{seed}.jpg")])
        assert added == (f"{seed}.jpg" not in known)
        known[f"{seed}.jpg"] = vector

    @precondition(lambda self: self.model)
    @rule(data=st.data(), which=st.integers(0, 1))
    def remove(self, data: st.DataObject, which: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        assert self.open[which].remove(name) == len(self.model.pop(name))

    @rule(seed=st.integers(0, 30), k=st.integers(1, 5))
    def search(self, seed: int, k: int) -> None:
        query = np.random.default_rng(seed).standard_normal(SIZE)
        query /= np.linalg.norm(query)
        best = {
            name: max(float(v @ query / np.linalg.norm(v)) for v in known.values())
            for name, known in self.model.items()
        }
        wanted = sorted(best, key=lambda name: (-best[name], name))[:k]
        for gallery in self.open:
            (matches,) = gallery.search(query[None], k)
            assert [match.person for match in matches] == wanted
            for match in matches:
                assert abs(match.similarity - best[match.person]) < 1e-6

    @rule(precision=st.sampled_from(["float32", "float16"]))
    def lose_the_block(self, precision: str) -> None:
        (self.folder / f"people.gallery.{precision}").unlink(missing_ok=True)
        path = self.folder / "people.gallery"
        self.open[0].close()
        self.open[0] = SqliteGallery(path, MAKER)

    @invariant()
    def same_people(self) -> None:
        wanted = [Person(name, len(self.model[name])) for name in sorted(self.model)]
        for gallery in self.open:
            assert gallery.people() == wanted
            assert gallery.stats().templates == sum(each.templates for each in wanted)
        got = [(entry.person, entry.photo) for entry in self.open[0].export()]
        assert sorted(got) == sorted((n, photo) for n in self.model for photo in self.model[n])

    def teardown(self) -> None:
        for gallery in self.open:
            gallery.close()
        shutil.rmtree(self.folder)


GalleryAgainstDictionary.TestCase.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None
)
TestGalleryAgainstDictionary = GalleryAgainstDictionary.TestCase


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A gallery of 200 templates of 100 people."""
    path = tmp_path / "people.gallery"
    vectors = np.random.default_rng(0).standard_normal((200, SIZE))
    with filled(path, vectors, [f"{i // 2:03d}" for i in range(200)]) as gallery:
        gallery.search(vectors[:1])
    return path


def queries() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((200, SIZE))


def finds_everybody(path: Path) -> bool:
    with SqliteGallery(path, MAKER) as gallery:
        found = gallery.search(queries())
    return [match.person for (match,) in found] == [f"{i // 2:03d}" for i in range(200)]


def test_another_network_is_refused_by_both_names(people: Path) -> None:
    with pytest.raises(GalleryError, match=r"small\.onnx.*other\.onnx.*re-enroll"):
        SqliteGallery(people, OTHER)
    unflipped = Maker("a" * 64, SIZE, False, "small.onnx", MAKER.preprocessing)
    with pytest.raises(GalleryError, match=r"with mirror.*without mirror.*--flip"):
        SqliteGallery(people, unflipped)
    renamed = Maker("a" * 64, SIZE, True, "copy.onnx", MAKER.preprocessing)
    SqliteGallery(people, renamed).close()


def test_a_gallery_keeps_its_maker_and_crops_only_when_asked(tmp_path: Path) -> None:
    for keep in (False, True):
        with SqliteGallery(tmp_path / f"{keep}", MAKER, keep_crops=keep) as gallery:
            gallery.enrol("a", [template(np.ones(SIZE), crop=b"a picture of a face")])
        with SqliteGallery(tmp_path / f"{keep}") as gallery:
            assert gallery.maker == MAKER
            assert gallery.keeps_crops == keep
            assert gallery.stats().crops == int(keep)
        assert (b"a picture of a face" in (tmp_path / f"{keep}").read_bytes()) == keep


def test_removed_people_leave_nothing_behind(people: Path) -> None:
    """Neither in the file, nor in its log, nor in the block."""
    with SqliteGallery(people, MAKER) as gallery:
        vectors = [entry.vector.tobytes() for entry in gallery.export() if entry.person == "007"]
        files = sorted(people.parent.glob("people.gallery*"))
        before = b"".join(file.read_bytes() for file in files)
        assert all(vector in before for vector in vectors)
        gallery.remove("007")
        after = b"".join(file.read_bytes() for file in people.parent.glob("people.gallery*"))
        assert not any(vector in after for vector in vectors)
        with pytest.raises(GalleryError, match=r"'007'.*Did you mean '"):
            gallery.remove("007")


def test_all_of_an_enrolment_or_nothing(people: Path) -> None:
    with SqliteGallery(people, MAKER) as gallery:
        good, bad = template(np.ones(SIZE), "good"), template(np.zeros(SIZE), "bad")
        with pytest.raises(GalleryError, match="no direction"):
            gallery.enrol("new", [good, bad])
        with pytest.raises(GalleryError, match="16 numbers"):
            gallery.enrol("new", [good, template(np.ones(3), "short")])
        with pytest.raises(GalleryError, match="no template"):
            gallery.enrol("new", [])
        for name in ("", " ", "a\nb", "x" * 201, "\ud800"):
            with pytest.raises(GalleryError, match="name"):
                gallery.enrol(name, [good])
        assert gallery.stats().people == 100
        assert not gallery.has("new", good.sha256)
        assert gallery.enrol(" new ", [good, good]) == 1
        assert gallery.has("new", good.sha256)
        assert gallery.enrol("Ame\u0301lie", [good]) == gallery.remove("Amélie") == 1


@pytest.mark.parametrize(
    "damage", ["gone", "empty", "cut", "another gallery's", "no header", "numbers", "too long"]
)
def test_the_block_is_made_again_whatever_happened_to_it(
    people: Path, tmp_path: Path, damage: str
) -> None:
    block = people.with_name("people.gallery.float32")
    content = bytearray(block.read_bytes())
    if damage == "gone":
        block.unlink()
    elif damage == "empty":
        block.write_bytes(b"")
    elif damage == "cut":
        block.write_bytes(content[:-10])
    elif damage == "another gallery's":
        with filled(tmp_path / "2", queries()[::-1], [f"{i}" for i in range(200)]) as gallery:
            gallery.search(queries()[:1])
        shutil.copy(tmp_path / "2.float32", block)
    elif damage == "no header":
        block.write_bytes(bytes(len(content)))
    elif damage == "numbers":
        content[4096:] = np.roll(np.frombuffer(content[4096:], np.float32), 1).tobytes()
        block.write_bytes(content)
    else:
        Block(block, "float32", SIZE, epoch_of(people)).extend([], 300)
    assert finds_everybody(people)
    assert finds_everybody(people)


def epoch_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    epoch = connection.execute("SELECT epoch FROM gallery").fetchone()[0]
    connection.close()
    return str(epoch)


def test_a_copy_of_earlier_does_not_meet_the_newer_block(people: Path, tmp_path: Path) -> None:
    """Numbers of templates come again then; the block's rows are of others."""
    shutil.copy(people, tmp_path / "copy")
    with SqliteGallery(people, MAKER) as gallery:
        gallery.enrol("later", [template(np.ones(SIZE), f"{i}") for i in range(9)])
        gallery.search(queries()[:1])
    shutil.copy(tmp_path / "copy", people)
    with SqliteGallery(people, MAKER) as gallery:
        newer = np.random.default_rng(5).standard_normal((9, SIZE))
        gallery.enrol("other", [template(vector, f"n{i}") for i, vector in enumerate(newer)])
        assert [match.person for (match,) in gallery.search(newer)] == ["other"] * 9
    assert finds_everybody(people)


def test_what_a_killed_run_left_behind_shows_in_no_gap(tmp_path: Path) -> None:
    """Rows that were written and not counted yet, where nobody stands now."""
    block = Block(tmp_path / "b", "float32", 2, "0" * 32)
    one = np.ones(2, np.float32)
    block.rebuild([(0, one)], 1)
    with block.path.open("ab") as handle:
        handle.write(np.full(6, 7, np.float32).tobytes())
    assert block.rows() == 1
    block.extend([(3, 2 * one)], 4)
    assert block.rows() == 4
    np.testing.assert_array_equal(block.open(4), np.outer([1, 0, 0, 2], one))


def test_without_room_for_the_block_it_is_held_in_memory(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.with_name("people.gallery.float32").unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert finds_everybody(people)
    assert not list(people.parent.glob("*.tmp-*"))


def test_a_full_disk_changes_nothing_and_says_so(people: Path) -> None:
    with SqliteGallery(people, MAKER) as gallery:
        pages = gallery._connection.execute("PRAGMA page_count").fetchone()[0]
        gallery._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [template(np.ones(SIZE), f"{i}") for i in range(2000)]
        with pytest.raises(GalleryError, match=r"disk is full\. Nothing was changed"):
            gallery.enrol("much", many)
        gallery._connection.execute("PRAGMA max_page_count = 100000")
        assert gallery.stats().people == 100
        assert gallery.enrol("much", many) == 2000
    assert finds_everybody(people)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"This is a letter and no gallery at all. " * 200, "no gallery"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_gallery_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "g"
    path.write_bytes(content)
    with pytest.raises(GalleryError, match=words):
        SqliteGallery(path)


def test_other_files_are_told_apart(tmp_path: Path, people: Path) -> None:
    with pytest.raises(GalleryError, match="no such gallery"):
        SqliteGallery(tmp_path / "none")
    with pytest.raises(GalleryError, match="is a folder"):
        SqliteGallery(tmp_path, MAKER)
    with pytest.raises(GalleryError, match="cannot be opened"):
        SqliteGallery(tmp_path / "no folder" / "g", MAKER)
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE letters (text)")
    other.commit()
    other.close()
    with pytest.raises(GalleryError, match="another program"):
        SqliteGallery(tmp_path / "other", MAKER)
    newer = sqlite3.connect(people)
    newer.execute("PRAGMA user_version = 9")
    newer.close()
    with pytest.raises(GalleryError, match="format 9"):
        SqliteGallery(people, MAKER)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_gives_an_error_that_names_it(people: Path, seed: int) -> None:
    """Or the right answer, where the damage is elsewhere; never another exception."""
    content = bytearray(people.read_bytes())
    generator = np.random.default_rng(seed)
    start = int(generator.integers(4096, len(content) - 4096))
    content[start : start + 4096] = generator.bytes(4096)
    people.write_bytes(content)
    people.with_name("people.gallery.float32").unlink()
    words = str(people)
    try:
        with SqliteGallery(people, MAKER) as gallery:
            gallery.search(queries())
            list(gallery.export())
            gallery.enrol("new", [template(np.ones(SIZE))])
    except GalleryError as error:
        words = str(error)
    assert str(people) in words
