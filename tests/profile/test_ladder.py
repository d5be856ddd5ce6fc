"""Ladders: what is in them, that it is computed, and what the table makes of their times."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pocketface.errors import RecipeError
from pocketface.models import create_model
from pocketface.profile import primitives
from pocketface.profile.ladder import (
    RUNGS,
    Ladder,
    ladder_onnx,
    times_in_ladder,
)
from pocketface.profile.latency_table import Entry, Piece
from pocketface.profile.machine import Machine
from pocketface.profile.pieces import Shape, pieces_of_any, predict_latency
from pocketface.profile.primitives import (
    Device,
    LadderTimer,
    begin_table,
    continue_table,
    entry_of,
    measure_pieces,
)
from pocketface.profile.process import Worker
from pocketface.profile.worker import Job

PIECES = [
    *(
        Piece(name, 8, stride, 16, 16)
        for name in ("max_pool_3x3", "avg_pool_3x3", "dw_conv_3x3", "dw_conv_7x7", "dw_conv_1x1")
        for stride in (1, 2)
    ),
    Piece("skip_connect", 8, 2, 16, 16),
    Piece("preprocess", 8, 1, 64, 16),
    Piece("factorised_reduction", 8, 2, 32, 16),
    Piece("sum", 8, 1, 16, 16),
    Piece("concatenation", 8, 1, 16, 64),
    Piece("stem", 16, 2, 3, 16),
    Piece("tail", 7, 1, 64, 16),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(content).graph.node]


@pytest.mark.parametrize("piece", PIECES, ids=str)
def test_a_laden_ladder_is_a_bare_one_and_its_pieces(piece: Piece) -> None:
    bare = operators(ladder_onnx(piece, generator(), bare=True))
    laden = operators(ladder_onnx(piece, generator()))
    # No step was folded into another: each is a convolution and a bend, within a cell two.
    lead = 0 if piece.inputs == 3 else 1
    steps = (2 if piece.within else 1) * RUNGS
    assert bare.count("Conv") == steps + lead
    assert bare.count("Relu") == steps + lead
    assert (bare.count("MaxPool"), bare.count("Concat")) == (RUNGS, 1)
    added = {kind: laden.count(kind) - bare.count(kind) for kind in set(laden)}
    times = times_in_ladder(piece)
    assert all(count % times == 0 for count in added.values()), added
    assert any(added.values())
    each = {kind: count // times for kind, count in added.items() if count}
    if piece.operation == "sum":
        assert each == {"Add": 1}
    if piece.operation == "concatenation":
        assert each == {"Concat": 1}
    if piece.operation == "stem":
        assert each == {"Conv": 1}
    if piece.operation == "max_pool_3x3":
        assert each == {"MaxPool": 1, "Conv": 1}


@pytest.mark.parametrize("piece", PIECES, ids=str)
def test_everything_in_a_ladder_reaches_its_output(piece: Piece) -> None:
    content = ladder_onnx(piece, generator())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options)
    images = np.random.default_rng(0).standard_normal((1, 3, piece.size, piece.size))
    found = session.run(None, {"images": images.astype(np.float32)})[0]
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 1e6
    with torch.no_grad():
        ladder = Ladder(piece.size, piece.inputs, piece, within=piece.within)
        wanted = ladder.eval()(torch.zeros(images.shape))
    assert found.shape == tuple(wanted.shape)
    assert len(np.unique(found)) > RUNGS / 2


def test_an_entry_is_the_median_and_never_below_zero() -> None:
    piece = Piece("sum", 8, 1, 16, 16)
    entry = entry_of(piece, [3.0, 1.0, 2.0, -5.0, 9.0, 2.5])
    assert (entry.piece, entry.microseconds) == (piece, 2.25)
    assert (entry.low, entry.high) == (-5.0, 9.0)
    nothing = entry_of(piece, [-0.3, -0.1, -0.2])
    assert (nothing.microseconds, nothing.low, nothing.high) == (0.0, -0.3, -0.1)


def test_a_timer_divides_by_the_number_of_pieces(monkeypatch) -> None:
    """The clock is ours: a bare ladder takes 1 ms, a laden one 3 ms."""
    opened: list[bytes] = []

    def open_network(runtime, content, images, threads):
        opened.append(content)
        laden = len(operators(content)) > 5 * RUNGS + 4
        return lambda: 3e-3 if laden else 1e-3

    def turn(execute, seconds, least):
        return [primitives.Run(wall=99.0, cpu=execute())] * 3

    monkeypatch.setattr(primitives, "open_network", open_network)
    monkeypatch.setattr(primitives, "take_turn", turn)
    timer = LadderTimer(Device("onnxruntime", 1), generator())
    times = timer(Piece("dw_conv_3x3", 8, 1, 16, 16), 5.0)
    assert times == pytest.approx([2e3 / RUNGS] * len(times))
    assert len(times) < 20  # equal turns settle at once
    timer(Piece("dw_conv_5x5", 8, 1, 16, 16), 0.0)
    assert len(opened) == 3  # the bare ladder is opened once for a place
    timer(Piece("dw_conv_5x5", 4, 1, 16, 16), 0.0)
    assert len(opened) == 5


def test_ctrl_c_keeps_the_entries_before_it() -> None:
    pieces = [Piece("sum", size, 1, 16, 16) for size in (8, 4, 2)]
    entries: list[Entry] = []
    told: list[tuple[int, int]] = []

    def timer(piece: Piece, seconds: float) -> list[float]:
        if piece.size == 2:
            raise KeyboardInterrupt
        return [float(piece.size)]

    assert measure_pieces(pieces, timer, 1.0, entries.append, lambda *at: told.append(at))
    assert [entry.microseconds for entry in entries] == [8.0, 4.0]
    assert told == [(0, 3), (1, 3), (2, 3)]
    assert not measure_pieces(pieces[:2], timer, 1.0, entries.append, lambda *at: told.append(at))
    assert told[-1] == (2, 2)


def test_tables_of_other_machines_are_not_continued(monkeypatch) -> None:
    device = Device("onnxruntime", 1)
    table = begin_table(device)
    assert table.clock == "cpu"
    assert continue_table(table, device) == table
    with pytest.raises(RecipeError, match=r"another threads: 1, now 2.*--overwrite"):
        continue_table(table, Device("onnxruntime", 2))
    other = Machine(processor="another", cores=1, system="Linux")
    with pytest.raises(RecipeError, match="another machine: another, 1 core"):
        continue_table(table.model_copy(update={"machine": other}), device)
    assert begin_table(Device("onnxruntime", 2)).clock == "wall"
    with pytest.raises(RecipeError, match="torch runs no exported file"):
        begin_table(Device("torch", 1))
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        begin_table(Device("onnxruntime", 0))


@pytest.mark.slow
def test_nano_takes_about_what_its_table_says(tmp_path) -> None:
    """Processor time against processor time; within a factor of two, on any machine."""
    network = create_model("pocketnet_nano", generator=generator()).eval()
    device = Device("onnxruntime", 1)
    entries: list[Entry] = []
    timer = LadderTimer(device, generator())
    pieces = pieces_of_any([network])
    measure_pieces(pieces, timer, 0.3, entries.append, lambda *_: None)
    table = begin_table(device).model_copy(update={"entries": tuple(entries)})
    predicted = predict_latency(table, network.genotype, Shape.of(network))

    from pocketface.deploy.fuse import fuse
    from pocketface.deploy.trace import trace_graph
    from pocketface.deploy.write import write_graph

    graph = trace_graph(network)
    fuse(graph)
    path = tmp_path / "nano.onnx"
    path.write_bytes(write_graph(graph, 64, 18, {}).SerializeToString())
    job = Job(runtime="onnxruntime", file=path, shape=(1, 3, 64, 64), threads=1)
    with Worker(job) as worker:
        runs = [run for _ in range(10) for run in worker.turn()]
    measured = 1e3 * float(np.median([run.cpu for run in runs]))
    assert measured / 2 < predicted < 2 * measured
