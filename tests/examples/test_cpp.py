"""The C++ example: built against the wheel of OpenVINO, as its README says, and run."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SOURCE = Path(__file__).parents[2] / "examples" / "cpp"


@pytest.fixture(scope="module", params=["g++", "cmake"])
def program(request, tmp_path_factory) -> Path:
    """The program, built in each of the two ways."""
    openvino = pytest.importorskip(
        "openvino", reason="openvino is not installed (pip install 'pocketface[openvino]')"
    )
    for tool in ("g++", request.param):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("built")
    package = Path(openvino.__file__).parent
    if request.param == "g++":
        (library,) = package.glob("libs/libopenvino.so.*")
        commands = [
            [
                *("g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"),
                *(f"-isystem{package / 'include'}", SOURCE / "compare_faces.cpp", library),
                *(f"-Wl,-rpath,{package / 'libs'}", "-o", folder / "compare_faces"),
            ]
        ]
    else:
        commands = [
            ["cmake", "-S", SOURCE, "-B", folder, f"-DOpenVINO_DIR={package / 'cmake'}"],
            ["cmake", "--build", folder],
        ]
    for command in commands:
        subprocess.run(list(map(str, command)), check=True)
    return folder / "compare_faces"


def run(program: Path, *words: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(program), *map(str, words)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("ending", ["ppm", "rgb"])
def test_it_prints_what_python_finds(program, example_folder, similarity, ending) -> None:
    faces = [example_folder / f"{name}.{ending}" for name in "ab"]
    done = run(program, example_folder / "model.onnx", *faces)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(similarity, abs=2e-5)


def test_it_reads_openvinos_own_format(program, example_folder, similarity, tmp_path) -> None:
    import numpy as np

    from pocketface.deploy import ExportOptions, export_network

    export_network(
        example_folder / "network.safetensors",
        tmp_path / "m.xml",
        generator=np.random.default_rng(0),
        target="openvino",
        options=ExportOptions(input="uint8"),
    )
    done = run(program, tmp_path / "m.xml", example_folder / "a.ppm", example_folder / "b.ppm")
    assert float(done.stdout) == pytest.approx(similarity, abs=2e-5)


def test_mistakes_are_one_line(program, example_folder, tmp_path) -> None:
    model, face = example_folder / "model.onnx", example_folder / "a.ppm"
    large = tmp_path / "large.ppm"
    large.write_bytes(b"P6\n# made by hand\n112 113\n255\n" + bytes(112 * 113 * 3))
    cut = tmp_path / "cut.ppm"
    cut.write_bytes(face.read_bytes()[:-1])
    for words, message in [
        ((model, face), "usage: compare_faces"),
        ((model, face, tmp_path / "no.ppm"), "no.ppm cannot be read"),
        ((model, face, large), "large.ppm is 112 x 113"),
        ((model, face, cut), "the network takes whole faces"),
        ((model, face, example_folder / "a.png"), "a face is a PPM file (P6)"),
        ((face, face, face), "error: "),
    ]:
        done = run(program, *words)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stdout == ""
