import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pocketface.errors import WeightsError
from pocketface.models import Backbone, create_model
from pocketface.models.checkpoint import load_state, read_state

Scramble = Callable[..., None]


def nano(**options: object) -> Backbone:
    return create_model("pocketnet_nano", image_size=32, channels=2, cells=4, **options)


@pytest.fixture
def state(scramble: Scramble) -> dict[str, Tensor]:
    network = nano()
    scramble(network)
    return network.state_dict()


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nested", [False, True])
def test_foreign_files_load(
    tmp_path: Path, state: dict[str, Tensor], ending: str, prefix: str, nested: bool
) -> None:
    path = tmp_path / f"295672backbone{ending}"
    content = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    if ending == ".safetensors":
        save_file(content, path)
    else:
        torch.save({"state_dict": content, "epoch": 3} if nested else content, path)
    network = nano()
    load_state(network, path)
    torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)
    built = nano(weights=path)
    torch.testing.assert_close(built.state_dict(), state, rtol=0, atol=0)


def test_counters_may_be_missing_and_half_floats_are_cast(tmp_path, state) -> None:
    path = tmp_path / "half.pt"
    torch.save({n: t.half() for n, t in state.items() if not n.endswith("tracked")}, path)
    network = nano()
    load_state(network, path)
    found = network.get_parameter("stem.0.weight")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, state["stem.0.weight"], rtol=1e-3, atol=1e-3)


def test_all_that_does_not_fit_is_reported_and_nothing_is_loaded(tmp_path, state) -> None:
    path = tmp_path / "wrong.pt"
    wrong = dict(state)
    missing = [name for name in wrong if name.startswith("tail.") and "tracked" not in name]
    for name in missing:
        del wrong[name]
    wrong["header.kernel"] = torch.zeros(1)
    wrong["stem.0.weight"] = torch.zeros(4, 3, 3, 3)
    torch.save(wrong, path)
    network = nano()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_state(network, path)
    text = str(caught.value)
    assert text.startswith(f"{path} does not fit pocketnet_nano. ")
    shown = ", ".join(missing[:5])
    assert f"{len(missing)} missing: {shown}, ... and {len(missing) - 5} more. " in text
    assert "1 surplus: header.kernel. " in text
    assert "1 of another shape: stem.0.weight is (4, 3, 3, 3), not (8, 3, 3, 3). " in text
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("fault", ["1 missing", "1 surplus", "1 of another shape"])
def test_each_fault_alone_is_enough(tmp_path, state, fault: str) -> None:
    path = tmp_path / "wrong.pt"
    wrong = dict(state)
    if fault == "1 missing":
        del wrong["tail.1.weight"]
    elif fault == "1 surplus":
        wrong["tail.8.weight"] = torch.zeros(1)
    else:
        wrong["tail.0.weight"] = torch.zeros(1)
    torch.save(wrong, path)
    with pytest.raises(WeightsError, match=rf"does not fit pocketnet_nano\. {fault}: tail"):
        load_state(nano(), path)


def test_a_prefix_on_some_names_only_is_not_removed(tmp_path) -> None:
    path = tmp_path / "mixed.pt"
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, path)
    assert set(read_state(path)) == {"module.a", "b"}


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("plain", [True, False])
def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path, plain: bool) -> None:
    path, trace = tmp_path / "attack.pth", tmp_path / "trace"
    if plain:
        path.write_bytes(pickle.dumps({"weight": Attack(trace)}))
    else:
        torch.save({"weight": Attack(trace)}, path)
    with pytest.raises(WeightsError, match=r"attack\.pth cannot be read .* holds code"):
        read_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999])
def test_truncated_files_are_refused(tmp_path, state, ending: str, keep: float) -> None:
    path = tmp_path / f"cut{ending}"
    if ending == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(WeightsError, match=re.escape(str(path))):
        load_state(nano(), path)


def test_text_is_no_checkpoint(tmp_path) -> None:
    for name in ("a.pt", "a.safetensors"):
        path = tmp_path / name
        path.write_text("<html>404 not found</html>" * 10)
        with pytest.raises(WeightsError, match=re.escape(str(path))):
            read_state(path)


def test_wrong_paths(tmp_path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        read_state(tmp_path)
    with pytest.raises(WeightsError, match="There is no weights file"):
        read_state(tmp_path / "none.pt")
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"ends in '\.onnx'; weights are read from"):
        read_state(onnx)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list, not a state dict"),
        ({"epoch": 3, "lr": 0.1}, "2 not tensors: epoch, lr"),
        (torch.zeros(3), "holds a Tensor, not a state dict"),
    ],
)
def test_what_is_no_state_dict(tmp_path, content: object, message: str) -> None:
    path = tmp_path / "strange.pt"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=message):
        read_state(path)


def test_real_foreign_checkpoint(real_data: Path) -> None:
    path = real_data / "weights" / "mobilefacenet_foamliu.pt"
    state = read_state(path)
    assert 0.9e6 < sum(tensor.numel() for tensor in state.values()) < 1.3e6
    with pytest.raises(WeightsError, match="does not fit pocketnet_nano"):
        load_state(nano(), path)
