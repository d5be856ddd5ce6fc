"""ExecuTorch files as embedders: whole, foreign and spoilt."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trained_networks import FEW_ROWS, as_trained, genotypes

from pocketface.deploy import ExportOptions, export_network
from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Concat, Conv, Flatten, Graph, Linear
from pocketface.deploy.parity import LEAST_COSINE, MOST_RELATIVE, compare
from pocketface.deploy.trace import trace_graph
from pocketface.embedding import load_embedder
from pocketface.errors import DataError, RecipeError, WeightsError
from pocketface.models import Genotype, create_model
from pocketface.preprocessing import Preprocessing

pytest.importorskip(
    "executorch", reason="executorch is not installed (pip install 'pocketface[train,executorch]')"
)
pytestmark = pytest.mark.timeout(300)

SMALL = Preprocessing(image_size=32)


@pytest.fixture(scope="module")
def written(source, tmp_path_factory) -> Path:
    return write(source("small"), tmp_path_factory.mktemp("executorch") / "m.pte").path


@pytest.fixture
def copy(written, tmp_path) -> Path:
    """The file, without the card."""
    return Path(shutil.copy(written, tmp_path))


def write(weights: Path, out: Path, **options: object):
    return export_network(
        weights,
        out,
        generator=np.random.default_rng(0),
        target="executorch",
        options=ExportOptions(**options),
    )


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["small", "iresnet", "mobilefacenet", "mobilenet_v2"])
@pytest.mark.parametrize(("given", "output"), [("float", "raw"), ("uint8", "unit")])
def test_it_is_its_source(source, tmp_path, name, given, output) -> None:
    done = write(source(name), tmp_path / "m.pte", input=given, output=output)
    assert done.parity.holds
    assert 0 < done.parity.relative < 1e-4
    found, wanted = load_embedder(done.path), load_embedder(source(name))
    np.testing.assert_allclose(found.embed(faces(3)), wanted.embed(faces(3)), rtol=1e-3, atol=1e-4)


def test_nothing_is_left_to_other_kernels(copy) -> None:
    """One delegate, no operators: XNNPACK computes all of it."""
    from executorch.exir._serialize._program import deserialize_pte_binary  # quiet by now

    plan = deserialize_pte_binary(copy.read_bytes()).program.execution_plan[0]
    assert [delegate.id for delegate in plan.delegates] == ["XnnpackBackend"]
    assert not plan.operators


def test_the_embedding_comes_before_its_length(source, tmp_path) -> None:
    done = write(source("mobilefacenet"), tmp_path / "u.pte", output="unit")
    first, length = load_embedder(done.path)._file.outputs_for(np.ones((1, 3, 32, 32), np.float32))
    assert first.shape == (1, 16)
    assert length.shape == (1, 1)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-6)


def test_many_maps_are_joined_in_order() -> None:
    """More than XNNPACK joins at once."""
    graph = Graph("images", channels={"images": 3})
    scaled = [
        graph.add(Conv(np.full((3, 1, 1, 1), float(k)), np.zeros(3), groups=3), "images")
        for k in range(1, 8)
    ]
    row = graph.add(Flatten(), graph.add(Concat(), *scaled))
    graph.output = graph.add(Linear(np.eye(7 * 48), np.zeros(7 * 48)), row)
    images = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    (found,) = run(graph, images)
    wanted = np.concatenate([k * images for k in range(1, 8)], axis=1).reshape(1, -1)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@settings(max_examples=12, deadline=None)
@given(genotypes(), st.sampled_from([32, 48]))
def test_any_genotype_is_its_source(genotype: Genotype, size: int) -> None:
    network = create_model(
        "pocketnet_nano", image_size=size, embedding_size=8, channels=4, cells=4, genotype=genotype
    )
    network = as_trained(network).eval()
    graph = trace_graph(network)
    fold(graph)
    images = np.random.default_rng(0).normal(size=(1, 3, size, size))
    with torch.no_grad():
        wanted = network.double()(torch.from_numpy(images)).numpy().astype(np.float32)
    (found,) = run(graph, images.astype(np.float32))
    parity = compare(wanted, found)
    assert parity.cosine >= LEAST_COSINE
    assert parity.relative <= MOST_RELATIVE


def run(graph, images) -> list[np.ndarray]:
    """The outputs of a graph, as XNNPACK computes it."""
    from pocketface.deploy.executorch_export import write_program
    from pocketface.embedding.executorch_embedder import ExecuTorchProgram

    return ExecuTorchProgram(write_program(graph, images.shape[2], {})).run(images)


def test_any_number_of_faces_is_embedded_one_by_one(copy, source) -> None:
    embedder, wanted = load_embedder(copy, threads=1), load_embedder(source("small"))
    np.testing.assert_allclose(
        embedder.embed(faces(5)), wanted.embed(faces(5)), rtol=1e-3, atol=1e-4
    )
    assert embedder.embed(faces(0)).shape == (0, embedder.embedding_size)
    with pytest.raises(DataError, match="grey"):
        embedder.embed(faces(2)[..., :1])


def test_the_number_of_threads_may_change_under_a_loaded_file(copy) -> None:
    """The runtime's own reset leaves loaded networks with threads that are gone."""
    from executorch.extension.pybindings import _C

    first = load_embedder(copy)
    wanted = first.embed(faces(2))
    for threads in (1, 2, 1):
        second = load_embedder(copy, threads=threads)
        assert _C._threadpool_get_thread_count() == threads
        for embedder in (first, second):
            np.testing.assert_allclose(embedder.embed(faces(2)), wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        load_embedder(copy, threads=0)


def test_it_describes_itself(copy, source) -> None:
    found, wanted = load_embedder(copy).card, load_embedder(source("small")).card
    assert found.architecture == wanted.architecture
    assert found.thresholds == wanted.thresholds


@pytest.mark.parametrize("spoilt", ["cut", "cut program", "head", "text", "empty", "onnx"])
def test_spoilt_files_are_refused_by_name(copy, exported, spoilt) -> None:
    content = copy.read_bytes()
    copy.write_bytes(
        {
            "cut": content[:-1000],
            "cut program": content[:1000],
            "head": content[:20],
            "text": b"hello, this is a text and nothing else",
            "empty": b"",
            "onnx": exported("iresnet").path.read_bytes(),
        }[spoilt]
    )
    with pytest.raises(WeightsError, match=r"m\.pte"):
        load_embedder(copy)


def test_changed_weights_are_refused(copy) -> None:
    content = bytearray(copy.read_bytes())
    content[-500] ^= 1
    copy.write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.pte was changed"):
        load_embedder(copy)


@pytest.mark.slow
def test_no_changed_byte_ends_the_process(copy, tmp_path) -> None:
    """In a process of its own, since it would be ours that ends."""
    code = """
import sys
from pathlib import Path
import numpy as np
from pocketface.embedding import load_embedder
from pocketface.errors import PocketFaceError
path, whole = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
draw = np.random.default_rng(0)
for _ in range(60):
    content = bytearray(whole)
    content[draw.integers(len(content) // 8)] ^= 1 << int(draw.integers(8))
    path.write_bytes(content)
    try:
        load_embedder(path, threads=1)
    except PocketFaceError:
        pass
print("alive")
"""
    words = [sys.executable, "-c", code, str(copy)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "alive" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)  # ExecuTorch's way takes its time
def test_a_file_of_executorchs_own_way_runs_and_agrees(tmp_path) -> None:
    """Foreign: exported by torch and lowered by ExecuTorch; both ways compute the same."""
    from pocketface.deploy.executorch_format import quiet

    with quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

    network = as_trained(
        create_model(
            "mobilefacenet",
            image_size=32,
            embedding_size=16,
            rows=FEW_ROWS,
            generator=torch.Generator().manual_seed(0),
        )
    ).eval()
    images = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    given = (torch.from_numpy(images),)
    path = tmp_path / "foreign.pte"
    with quiet():
        program = torch.export.export(network, given)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        path.write_bytes(lowered.to_executorch().buffer)
    with pytest.raises(WeightsError, match="--size, --order, --mean and --std"):
        load_embedder(path)
    (wanted,) = load_embedder(path, SMALL)._file.outputs_for(images)
    graph = trace_graph(network)
    fold(graph)
    (found,) = run(graph, images)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
