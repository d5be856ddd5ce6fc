"""The latency table on the disk: read back as written, and clear about what is wrong with it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketface.errors import RecipeError
from pocketface.profile.latency_table import (
    OPERATIONS,
    Entry,
    LatencyTable,
    Piece,
    read_latency_table,
    write_latency_table,
)
from pocketface.profile.machine import Machine, describe_machine

ENTRIES = (
    Entry(
        operation="dw_conv_3x3", size=28, stride=1, inputs=16, outputs=16, microseconds=20.5,
        low=19.0, high=22.0,
    ),
    Entry(
        operation="dw_conv_3x3", size=28, stride=2, inputs=16, outputs=16, microseconds=9.0,
        low=8.0, high=10.0,
    ),
    Entry(
        operation="sum", size=28, stride=1, inputs=16, outputs=16, microseconds=0.0, low=-0.4,
        high=0.3,
    ),
)  # fmt: skip


def table(**facts) -> LatencyTable:
    usual = {
        "version": "0",
        "created": "2026-01-01T00:00:00+00:00",
        "machine": Machine(processor="a machine", cores=2, system="Linux"),
        "load": None,
        "runtime": "onnxruntime",
        "runtime_version": "1.0",
        "threads": 1,
        "clock": "cpu",
        "entries": ENTRIES,
    }
    return LatencyTable.model_validate(usual | facts)


def test_it_comes_back_as_it_was_written(tmp_path) -> None:
    path = tmp_path / "device.json"
    write_latency_table(path, table(machine=describe_machine()))
    assert read_latency_table(path) == table(machine=describe_machine())


def test_it_knows_its_pieces_by_place_and_stride() -> None:
    pieces = [entry.piece for entry in ENTRIES]
    assert table().latencies(pieces[::-1]) == [0.0, 9.0, 20.5]


@given(st.integers(1, 112), st.integers(1, 512))
def test_nothing_costs_nothing(size: int, width: int) -> None:
    empty = table(entries=())
    assert empty.latencies([Piece("none", size, 2, width, width)]) == [0.0]
    assert empty.latencies([Piece("skip_connect", size, 1, width, width)]) == [0.0]
    with pytest.raises(RecipeError, match="no skip_connect"):
        empty.latencies([Piece("skip_connect", size, 2, width, width)])


def test_a_missing_piece_says_what_there_is_and_how_to_measure_it() -> None:
    with pytest.raises(RecipeError) as caught:
        table().latencies([Piece("dw_conv_3x3", 56, 2, 32, 32)])
    text = str(caught.value)
    assert "no dw_conv_3x3 at 56 px, 32 to 32 channels, stride 2" in text
    assert "it has 28 px with 16" in text
    assert "pocketface profile --primitives" in text


def broken(change) -> str:
    content = json.loads(table().model_dump_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "no latency table: the file: Invalid JSON"),
        ("[]", "no latency table: the file"),
        (broken(lambda c: c.update(format=2)), "format"),
        (broken(lambda c: c.update(kind="profile")), "kind"),
        (broken(lambda c: c.pop("machine")), "machine: Field required"),
        (broken(lambda c: c.update(extra=1)), "extra: Extra inputs"),
        (broken(lambda c: c["entries"][1].update(microseconds=-1)), r"entries\.1\.microseconds"),
        (broken(lambda c: c["entries"][0].update(microseconds=float("nan"))), "microseconds"),
        (broken(lambda c: c["entries"][0].update(operation="dw_conv_9x9")), "operation"),
        (broken(lambda c: c["entries"].append(c["entries"][0])), "stands in it twice"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, content: str, message: str) -> None:
    path = tmp_path / "device.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=message) as caught:
        read_latency_table(path)
    assert str(path) in str(caught.value)
    assert "Measure one with" in str(caught.value)


def test_what_cannot_be_read_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.json cannot be read: No such file"):
        read_latency_table(tmp_path / "absent.json")
    with pytest.raises(RecipeError, match="directory"):
        read_latency_table(tmp_path)


def test_the_summary_says_what_it_was_measured_with() -> None:
    assert table().summary() == "3 entries; onnxruntime 1.0, 1 thread; a machine, 2 cores; Linux"


def test_the_eight_primitives_come_first() -> None:
    from pocketface.models.genotype import PRIMITIVES

    assert set(OPERATIONS[:8]) == {*PRIMITIVES, "none"}
