"""The rooms of the house: who may import whom, and where torch may be needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "pocketface"

COMMON = {"errors", "atomic", "locking", "preprocessing", "card"}
"""Modules at the top that every room may use."""

ROOMS: dict[str, set[str]] = {
    "models": set(),
    "data": set(),
    "detect": {"data", "embedding"},
    "gallery": {"data", "embedding", "detect"},
    "service": {"data", "embedding", "detect", "gallery", "benchmarks"},
    "synthetic": {"data"},
    "parallel": set(),
    "heads": {"parallel"},
    "embedding": {"data"},
    "distill": {"models", "heads", "parallel"},
    "benchmarks": {"data", "embedding"},
    "deploy": {"models", "data", "synthetic", "embedding"},
    "train": {"models", "data", "parallel", "heads", "distill", "embedding", "benchmarks"},
    "compare": {"models", "data", "distill", "embedding", "benchmarks", "train"},
    "profile": {"models", "deploy", "embedding", "benchmarks"},
    "search": {"models", "data", "heads", "distill", "train", "profile"},
    "recipes": set(),
    "demo": {"models", "data", "heads", "distill", "embedding", "benchmarks", "train"},
}
"""A room and the rooms that it may import; nobody imports `cli`, which may import all."""

LAZY = {("embedding", "models"), ("__init__", "embedding")}
"""Allowed inside functions, and in modules that are only imported so."""

TORCH_MODULES = {
    "embedding/executorch_embedder.py",
    "embedding/torch_embedder.py",
    "profile/ladder.py",
    "profile/primitives.py",
}
"""Modules that need torch in rooms that do without it."""

TORCH_ROOMS = {
    "models",
    "parallel",
    "heads",
    "distill",
    "train",
    "synthetic",
    "demo",
    "deploy",
    "compare",
    "search",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Names of imported modules, and whether the import runs when the module is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    typed = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in lazy
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module, id(node) not in lazy
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) not in lazy


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    room = room_of(path)
    if room == "cli":
        return
    allowed = ROOMS.get(room, set()) | COMMON | {room}
    for name, at_import in imports(path):
        other = [*name.split("."), ""][1] if name.startswith("pocketface.") else ""
        known = (SOURCE / other).is_dir() or (SOURCE / f"{other}.py").is_file()
        if not other or not known:  # not ours, or a plain name such as the version
            continue
        if room == "__main__":
            assert other == "cli"
            continue
        key = str(path.relative_to(SOURCE))
        if (room, other) in LAZY and (not at_import or key in TORCH_MODULES):
            continue
        assert other in allowed, f"{key} imports {name}; {room} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_torch_is_imported_only_where_it_may(path: Path) -> None:
    key = str(path.relative_to(SOURCE))
    if room_of(path) in TORCH_ROOMS or key in TORCH_MODULES:
        return
    heavy = ("torch", "lightning_fabric", "safetensors")
    found = [name for name, now in imports(path) if now and name.split(".")[0] in heavy]
    assert not found, f"{key} needs {found} as soon as it is imported"


def test_every_room_is_listed() -> None:
    found = {entry.name for entry in SOURCE.iterdir() if (entry / "__init__.py").exists()}
    assert found - {"cli"} <= set(ROOMS)


@pytest.mark.parametrize(
    "statement",
    [
        "import pocketface.data, pocketface.embedding, pocketface.benchmarks.pair_benchmark",
        "import pocketface.benchmarks.report",
        "import pocketface.cli.main",
        "import pocketface.deploy.targets",
        "import pocketface.embedding.onnx_embedder",
    ],
)
def test_the_plain_install_needs_no_torch(statement: str) -> None:
    blocked = "import sys; sys.modules['torch'] = None; sys.modules['lightning_fabric'] = None; "
    blocked += "sys.modules['onnx'] = sys.modules['openvino'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", blocked + statement], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "onnxruntime", "PIL", "matplotlib", "pydantic", "scipy"]
    code = (
        f"import sys, pocketface.cli.main; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("statement", ["import pocketface", "from pocketface import Embedder"])
def test_the_package_is_light_until_it_loads_a_network(statement: str) -> None:
    """Counted, not timed: a hundred small modules take some hundredths of a second."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {name.split(".")[0] for name in done.stdout.split()}
    assert names - {"pocketface"} <= sys.stdlib_module_names
    assert len(done.stdout.split()) < 100
