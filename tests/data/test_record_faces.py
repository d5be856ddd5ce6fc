import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketface.data import RecordFaces, open_faces
from pocketface.data.record_writer import RecordWriter, frame, pack, write_faces
from pocketface.data.recordio import MAGIC_BYTES, RecordFile
from pocketface.errors import DataError

# Bytes in which the magic is frequent, at aligned places and others.
pieces = st.lists(st.one_of(st.just(MAGIC_BYTES), st.binary(max_size=9)), max_size=8)
payloads = pieces.map(b"".join)
per_example = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)


def write_plain(path, payload_list, index=True):
    with RecordWriter(path) as writer:
        for key, payload in enumerate(payload_list):
            writer.append(key, payload)
    if not index:
        path.with_suffix(".idx").unlink()


@given(st.lists(payloads, min_size=1, max_size=6))
@per_example
def test_frames_round_trip_whatever_the_payload(tmp_path, payload_list):
    path = tmp_path / "a.rec"
    write_plain(path, payload_list)
    file = RecordFile(path)
    offsets = [
        int(line.split("\t")[1]) for line in path.with_suffix(".idx").read_text().splitlines()
    ]
    assert [file.payload(offset) for offset in offsets] == payload_list
    # The magic stands in the file only where a part begins, so a damaged file can be resynced.
    raw = path.read_bytes()
    aligned = [at for at in range(0, len(raw), 4) if raw[at : at + 4] == MAGIC_BYTES]
    begins = []
    for offset in offsets:
        cflag, length = file.frame(offset)
        begins.append(offset)
        while cflag not in (0, 3):
            offset += 8 + (length + 3) // 4 * 4
            begins.append(offset)
            cflag, length = file.frame(offset)
    assert aligned == begins


def test_frame_by_hand():
    magic = MAGIC_BYTES
    assert frame(b"abcde") == magic + struct.pack("<I", 5) + b"abcde\0\0\0"
    split = frame(b"wxyz" + magic + b"q" + magic)  # the second magic is not aligned
    first = magic + struct.pack("<I", 1 << 29 | 4) + b"wxyz"
    last = magic + struct.pack("<I", 3 << 29 | 5) + b"q" + magic + bytes(3)
    assert split == first + last
    empty = frame(magic + magic)
    assert [word >> 29 for word in struct.unpack("<6I", empty)[1::2]] == [1, 2, 3]


image = pieces.map(lambda parts: b"\xff" + b"".join(parts))
labelled = st.tuples(
    st.integers(0, 5),
    st.one_of(st.none(), st.lists(st.floats(width=32, allow_nan=False), max_size=3)),
    image,
)


@given(st.lists(labelled, min_size=1, max_size=8), st.booleans())
@per_example
def test_both_label_layouts_round_trip(tmp_path, entries, index):
    path = tmp_path / "train.rec"
    # Record 0 must have flag 0 here: every key is an image.
    entries = [(entries[0][0], None, entries[0][2]), *entries[1:]]
    write_plain(
        path,
        [
            pack(label if more is None else [label, *more], key, data)
            for key, (label, more, data) in enumerate(entries)
        ],
        index,
    )
    faces = RecordFaces(path)
    assert faces.faults == []
    assert [faces.encoded(i) for i in range(len(faces))] == [data for _, _, data in entries]
    assert [int(faces.people[label]) for label in faces.labels] == [e[0] for e in entries]
    assert faces.people == [str(k) for k in sorted({e[0] for e in entries})]


def test_identity_layout(tmp_path):
    images = [bytes([i]) * (5 + i) for i in range(6)]
    write_faces(tmp_path / "train.rec", [3, 1, 2], images)
    for faces in (open_faces(tmp_path), open_faces(tmp_path / "train.rec")):
        assert faces.faults == []
        assert faces.people == ["0", "1", "2"]
        assert faces.labels.tolist() == [0, 0, 0, 1, 2, 2]
        assert faces.labels.dtype == np.int64
        assert [faces.encoded(i) for i in range(6)] == images
        assert faces.name(0) == "train.rec record 1"
    (tmp_path / "train.idx").unlink()
    rebuilt = open_faces(tmp_path)
    assert rebuilt.labels.tolist() == [0, 0, 0, 1, 2, 2]
    assert rebuilt.faults == []


def test_labels_are_compacted_in_numeric_order(tmp_path):
    write_plain(tmp_path / "a.rec", [pack(label, 0, b"x") for label in (900, 10, 900, 9)])
    faces = open_faces(tmp_path / "a.rec")
    assert faces.people == ["9", "10", "900"]
    assert faces.labels.tolist() == [2, 1, 2, 0]


def test_keys_in_any_order(tmp_path):
    write_plain(tmp_path / "a.rec", [pack(key, key, bytes([key])) for key in range(5)])
    index = tmp_path / "a.idx"
    index.write_text("\n".join(reversed(index.read_text().splitlines())))
    faces = open_faces(tmp_path / "a.rec")
    assert [faces.encoded(i) for i in range(5)] == [bytes([key]) for key in range(5)]


def test_unusable_records_are_named_faults(tmp_path):
    path = tmp_path / "train.rec"
    with RecordWriter(path) as writer:
        writer.append(0, pack([10, 12], 0, b""))
        writer.append(1, pack(0, 1, b"fine"))
        writer.append(2, b"short")
        writer.append(3, pack([], 3, b"")[:-4] + b"...")
        writer.append(4, struct.pack("<IfQQ", 2**31, 0, 4, 0) + b"too few labels")
        writer.append(5, pack(0, 5, b""))
        writer.append(6, pack(0.5, 6, b"x"))
        writer.append(7, pack([float("nan"), 1], 7, b"x"))
        writer.append(8, pack([1e30], 8, b"x"))
        writer.append(9, pack(-1, 9, b"x"))
        writer.append(10, pack([1, 7], 10, b""))
        writer.append(11, pack([8, 70], 11, b""))
    faces = open_faces(path)
    assert len(faces) == 1
    assert faces.encoded(0) == b"fine"
    faults = dict(faces.faults)
    assert sorted(faults) == [
        "identity record 10",
        "identity record 11",
        *(f"record {key}" for key in range(2, 10)),
    ]
    assert "too short" in faults["record 2"]
    assert "too short" in faults["record 3"]
    assert "too short" in faults["record 4"]
    assert "no image" in faults["record 5"]
    assert "0.5 is not a whole number" in faults["record 6"]
    assert "several labels" in faults["identity record 10"]


def test_labels_that_overrun_the_payload_by_one(tmp_path):
    payload = struct.pack("<IfQQ", 2, 0, 1, 0) + bytes(4)
    write_plain(tmp_path / "a.rec", [pack(0, 0, b"fine"), payload])
    (fault,) = open_faces(tmp_path / "a.rec").faults
    assert "too short" in fault.reason


def test_keys_missing_from_the_index_are_faults(tmp_path):
    write_faces(tmp_path / "train.rec", [8], [b"x"] * 8)
    lines = (tmp_path / "train.idx").read_text().splitlines(keepends=True)
    (tmp_path / "train.idx").write_text("".join(lines[k] for k in (0, 1, 3, 6, 7, 9)))
    faces = open_faces(tmp_path)
    assert len(faces) == 4
    assert [fault.name for fault in faces.faults] == ["record 2", "records 4 to 5", "record 8"]


def test_offset_between_records_and_into_a_later_part(tmp_path):
    path = tmp_path / "a.rec"
    payload = pack(0, 0, b"abcd" + MAGIC_BYTES + b"efgh")
    write_plain(path, [pack(0, 0, b"fine"), payload])
    later = path.read_bytes().rindex(MAGIC_BYTES)
    (tmp_path / "a.idx").write_text(f"0\t0\n1\t4\n2\t{later}\n")
    faces = open_faces(path)
    assert len(faces) == 1
    assert [fault.name for fault in faces.faults] == ["record 1", "record 2"]
    assert "no record begins" in faces.faults[0].reason
    assert "later part" in faces.faults[1].reason


def test_broken_later_part_is_a_fault(tmp_path):
    path = tmp_path / "a.rec"
    write_plain(path, [pack(0, 0, b"fine"), pack(0, 0, b"abcd" + MAGIC_BYTES + b"efgh")])
    raw = bytearray(path.read_bytes())
    at = bytes(raw).rindex(MAGIC_BYTES)
    raw[at : at + 4] = b"oops"
    path.write_bytes(raw)
    faces = open_faces(path)
    assert [fault.name for fault in faces.faults] == ["record 1"]
    assert "joined" in faces.faults[0].reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("0\t0\n0\t0\n", "twice"),
        ("0\t0\nx\t4\n", "key<TAB>offset"),
        ("0\t0\n1\n", "key<TAB>offset"),
        ("0\t0\t0\n", "3 columns"),
        ("0\t0\n1\t99999\n", r"1 of 2 records outside.*key 1 at byte 99,999"),
        ("0\t-4\n", "outside"),
        ("0\t99999999999999999999999\n", "key<TAB>offset"),
    ],
)
def test_bad_index_is_an_error_with_the_mend(tmp_path, text, message):
    path = tmp_path / "a.rec"
    write_plain(path, [pack(0, 0, b"fine")])
    (tmp_path / "a.idx").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        open_faces(path)
    assert "ove" in str(caught.value)  # move it away
    assert "a.idx" in str(caught.value)


@pytest.mark.parametrize("labels", [[0, 3], [4, 3], [2.5, 3], [float("nan"), 3], [7]])
def test_senseless_record_zero(tmp_path, labels):
    write_plain(tmp_path / "a.rec", [pack(labels, 0, b""), pack(0, 1, b"x")])
    with pytest.raises(DataError, match="record 0 must say"):
        open_faces(tmp_path / "a.rec")


def test_not_a_record_file(tmp_path):
    path = tmp_path / "a.rec"
    path.write_bytes(b"this is no RecordIO file at all")
    with pytest.raises(DataError, match="no record is there"):
        open_faces(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="no record is there"):
        open_faces(path)
    with pytest.raises(DataError, match="in a folder per person only"):
        open_faces(path, only=["0"])


def test_more_keys_than_a_float32_counts_exactly(tmp_path):
    # WebFace42M's size: A cannot be told from A + 1; identity records are those without image.
    with RecordWriter(tmp_path / "train.rec") as writer:
        writer.append(0, pack([2.0**24 + 4, 2.0**24 + 8], 0, b""))
        writer.append(1, pack(5, 1, b"x"))
        writer.append(2**24 + 5, pack(6, 1, b"y"))
        writer.append(2**24 + 6, pack([1, 2], 1, b""))
    faces = open_faces(tmp_path)
    assert [faces.encoded(i) for i in range(len(faces))] == [b"x", b"y"]
    assert faces.faults == []


def read_all(path):
    """Everything a user can do with a file: DataError or named faults, nothing else."""
    try:
        faces = open_faces(path)
    except DataError:
        return None
    return [faces.encoded(i) for i in range(len(faces))], faces.faults


def test_truncated_at_every_byte(tmp_path):
    path = tmp_path / "train.rec"
    images = [b"abcdefg", b"wxyz" + MAGIC_BYTES + b"12345", b"hijklm"]
    write_faces(path, [2, 1], images)
    raw, index = path.read_bytes(), (tmp_path / "train.idx").read_bytes()
    assert read_all(path) == (images, [])
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        (tmp_path / "train.idx").write_bytes(index)
        with_index = read_all(path)
        assert with_index is None or with_index[1]
        (tmp_path / "train.idx").unlink()
        alone = read_all(path)
        assert alone is None or alone[1]
        if alone is not None:
            assert alone[0] == images[: len(alone[0])]
    path.write_bytes(raw)
    for length in range(len(index)):
        (tmp_path / "train.idx").write_bytes(index[:length])
        read_all(path)


@given(data=st.data())
@per_example
def test_random_damage_never_crashes(tmp_path, data):
    path = tmp_path / "train.rec"
    write_faces(path, [2, 1], [b"abcdefg", b"wxyz" + MAGIC_BYTES + b"12345", b"hijklm"])
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    if data.draw(st.booleans()):
        (tmp_path / "train.idx").unlink()
    read_all(path)


def test_file_cut_after_opening(tmp_path):
    write_faces(tmp_path / "train.rec", [2], [b"abcd", b"efgh"])
    faces = open_faces(tmp_path)
    os.truncate(tmp_path / "train.rec", 60)
    with pytest.raises(DataError, match="cut short"):
        faces.encoded(1)


def test_pickle_and_fork(tmp_path):
    write_faces(tmp_path / "train.rec", [2], [b"abcd", b"wxyz" + MAGIC_BYTES + b"12345"])
    faces = open_faces(tmp_path)
    faces.encoded(0)
    again = pickle.loads(pickle.dumps(faces))
    assert again.encoded(1) == b"wxyz" + MAGIC_BYTES + b"12345"
    assert again.fingerprint() == faces.fingerprint()
    child = os.fork()
    if child == 0:  # reads with the parent's descriptor must not move the parent
        os._exit(0 if faces.encoded(0) == b"abcd" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert faces.encoded(1) == b"wxyz" + MAGIC_BYTES + b"12345"


def test_descriptors_are_closed(tmp_path):
    write_faces(tmp_path / "train.rec", [1], [b"abcd"])
    open_faces(tmp_path).encoded(0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        open_faces(tmp_path).encoded(0)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_fingerprint_follows_content_not_framing(tmp_path):
    write_faces(tmp_path / "a.rec", [1, 1], [b"abcd", b"efgh"])
    first = open_faces(tmp_path / "a.rec").fingerprint()
    shutil.copy(tmp_path / "a.rec", tmp_path / "b.rec")  # elsewhere, without its index
    assert open_faces(tmp_path / "b.rec").fingerprint() == first
    write_faces(tmp_path / "c.rec", [1, 1], [b"abcd", b"efgH"])
    assert open_faces(tmp_path / "c.rec").fingerprint() != first
    write_faces(tmp_path / "d.rec", [2], [b"abcd", b"efgh"])
    assert open_faces(tmp_path / "d.rec").fingerprint() != first


def test_writer_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "train.rec"
    write_faces(path, [1], [b"abcd"])
    before = path.read_bytes(), path.with_suffix(".idx").read_bytes()
    for counts, images in (([2], [b"abcd"]), ([1], [b"abcd", b"efgh"])):
        with pytest.raises(DataError, match="promised"):
            write_faces(path, counts, images)
        assert (path.read_bytes(), path.with_suffix(".idx").read_bytes()) == before
        assert len(list(tmp_path.iterdir())) == 2
    write_faces(path, [1], [b"new"])
    assert open_faces(path).encoded(0) == b"new"


def test_a_writer_killed_between_its_renames_leaves_no_false_index(tmp_path, monkeypatch):
    path = tmp_path / "train.rec"
    write_faces(path, [1], [b"a longer image than the next"])
    replace = Path.replace

    def fail_at_the_index(self, target):
        if target.suffix == ".idx":
            raise OSError("the power went")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_at_the_index)
    with pytest.raises(OSError, match="power"):
        write_faces(path, [2], [b"new", b"images"])
    faces = open_faces(path)
    assert [faces.encoded(i) for i in range(len(faces))] == [b"new", b"images"]
    assert faces.faults == []


@pytest.mark.slow
def test_celeba_as_mxnet_wrote_it(real_data, tmp_path):
    folder = real_data / "celeba299_rec"
    faces = open_faces(folder)
    assert len(faces) == 6300
    assert len(faces.people) == 299
    assert faces.faults == []
    # An independent walk over the raw file, record by record.
    file = RecordFile(folder / "train.rec")
    offsets = dict(
        map(int, line.split()) for line in (folder / "train.idx").read_text().splitlines()
    )
    payload = {key: file.payload(offset) for key, offset in offsets.items()}
    end, last = struct.unpack_from("<2f", payload[0], 24)
    labels = faces.labels.tolist()
    assert (end, last) == (6301, 6600)
    seen = 0
    for person, key in enumerate(range(int(end), int(last))):
        first, stop = struct.unpack_from("<2f", payload[key], 24)
        assert labels[int(first) - 1 : int(stop) - 1] == [person] * int(stop - first)
        seen += int(stop - first)
    assert seen == 6300
    for i in range(0, 6300, 97):
        assert payload[i + 1].endswith(faces.encoded(i))
        assert faces.encoded(i)[:2] == b"\xff\xd8"
    shutil.copy(folder / "train.rec", tmp_path / "train.rec")
    rebuilt = open_faces(tmp_path)
    assert rebuilt.faults == []
    assert rebuilt.labels.tolist() == labels
