import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import RecipeError
from pocketface.models import Genotype, create_model
from pocketface.models.genotype import CIFAR10, FACES, PRIMITIVES, resolve_genotype

SHORT = {
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "skip": "skip_connect",
    "dw1": "dw_conv_1x1",
    "dw3": "dw_conv_3x3",
    "dw5": "dw_conv_5x5",
    "dw7": "dw_conv_7x7",
}


def edges(text: str) -> tuple[tuple[str, int], ...]:
    """Read the shorthand 'dw3,0 dw1,1'."""
    pairs = (word.split(",") for word in text.split())
    return tuple((SHORT[name], int(index)) for name, index in pairs)


@st.composite
def cells(draw: st.DrawFn) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for node in range(4):
        indices = draw(st.permutations(range(2 + node)))[:2]
        found += [(draw(st.sampled_from(PRIMITIVES)), index) for index in indices]
    return tuple(found)


genotypes = st.builds(Genotype, cells(), cells())


def test_presets_are_the_published_ones() -> None:
    assert Genotype(
        edges("dw3,0 dw1,1 dw3,2 dw5,0 dw3,3 dw3,0 dw3,4 skip,0"),
        edges("dw3,1 dw7,0 skip,2 dw5,1 max,0 skip,2 max,0 max,1"),
    ) == resolve_genotype("faces")
    assert Genotype(
        edges("dw7,0 dw3,1 dw1,1 dw1,2 max,2 dw7,3 dw5,4 max,0"),
        edges("max,0 dw7,1 max,0 max,1 max,0 max,2 max,0 max,1"),
    ) == resolve_genotype("cifar10")


@given(genotypes)
def test_json_round_trip(genotype: Genotype) -> None:
    assert Genotype.from_json(genotype.to_json()) == genotype


@settings(max_examples=10, deadline=None)
@given(genotypes)
def test_every_genotype_builds_and_trains(genotype: Genotype) -> None:
    network = create_model("pocketnet_nano", image_size=32, channels=2, cells=4, genotype=genotype)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    embedding, stages = network.forward_stages(images)
    assert embedding.shape == (2, 128)
    assert [tuple(stage.shape) for stage in stages] == [
        (2, 8, 16, 16),
        (2, 16, 8, 8),
        (2, 32, 4, 4),
        (2, 64, 2, 2),
    ]
    embedding.square().sum().backward()
    assert torch.isfinite(embedding).all()
    again = create_model("pocketnet_nano", **network.options)
    assert again.state_dict().keys() == network.state_dict().keys()


def test_file_round_trip(tmp_path) -> None:
    path = tmp_path / "faces.json"
    FACES.save(path)
    assert Genotype.load(path) == FACES
    assert set(json.loads(path.read_text())) == {"normal", "reduce"}


@pytest.mark.parametrize(
    ("position", "edge", "message"),
    [
        (0, ("dw_conv_9x9", 0), "unknown primitive 'dw_conv_9x9'"),
        (0, ("none", 0), "unknown primitive 'none'"),
        (0, ("dw_conv_3x3", 2), "node 0: edge 'dw_conv_3x3' reads index 2.*may read 0 to 1"),
        (7, ("dw_conv_3x3", 5), "node 3: .* reads index 5.*may read 0 to 4"),
        (3, ("dw_conv_3x3", -1), "reads index -1"),
        (3, ("dw_conv_3x3", True), "reads index True"),
        (3, ("dw_conv_3x3", "1"), "reads index '1'"),
        (1, ("skip_connect", 0), "node 0: both edges read index 0"),
    ],
)
def test_bad_edges_are_named(position: int, edge: tuple[str, int], message: str) -> None:
    wrong = list(FACES.normal)
    wrong[position] = edge
    with pytest.raises(RecipeError, match=message):
        Genotype(tuple(wrong), FACES.reduce)
    with pytest.raises(RecipeError, match=message.replace("normal", "reduce")):
        Genotype(FACES.normal, tuple(wrong))


def test_the_last_node_may_read_the_node_before_it() -> None:
    normal = (*FACES.normal[:6], ("skip_connect", 4), ("skip_connect", 3))
    assert Genotype(normal, CIFAR10.reduce).normal[6] == ("skip_connect", 4)


@pytest.mark.parametrize("count", [0, 7, 9])
def test_wrong_number_of_edges(count: int) -> None:
    with pytest.raises(RecipeError, match=f"'reduce' has {count} edges; a cell has 8"):
        Genotype(FACES.normal, (FACES.reduce * 2)[:count])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"normal": []}',
        '{"normal": 3, "reduce": []}',
        '{"normal": ["ab"], "reduce": []}',
        '{"normal": [["skip_connect"]], "reduce": []}',
        json.dumps({**FACES.to_dict(), "concat": [2, 3, 4, 5]}),
        json.dumps({**FACES.to_dict(), "normal": [[["skip_connect"], 0]] * 8}),
    ],
)
def test_what_is_no_genotype_is_refused(text: str, tmp_path) -> None:
    with pytest.raises(RecipeError):
        Genotype.from_json(text)
    path = tmp_path / "genotype.json"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"genotype\.json holds no genotype"):
        Genotype.load(path)


def test_missing_file_and_unknown_preset(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"none\.json holds no genotype"):
        Genotype.load(tmp_path / "none.json")
    with pytest.raises(RecipeError, match=r"Unknown genotype 'face'.*faces, cifar10"):
        resolve_genotype("face")
