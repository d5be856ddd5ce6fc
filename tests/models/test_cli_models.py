import json
import subprocess
import sys

import pytest

from pocketface.cli.models import models
from pocketface.errors import RecipeError
from pocketface.models import list_models
from pocketface.models.published import PUBLISHED


def test_json_holds_the_counts_and_the_published_figures(capsys) -> None:
    models("*_[s5]*", as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == ["iresnet_50", "pocketnet_s_128", "pocketnet_s_256"]
    assert rows["pocketnet_s_128"] == {
        "name": "pocketnet_s_128",
        "embedding_size": 128,
        "image_size": 112,
        "parameters": 925_632,
        "macs": 283_541_120,
        "paper_mflops": 587.110016,
        "published_parameters_m": 0.92,
        "published_mflops": 587.11,
        "published_in": "arXiv 2108.10710",
    }
    for row in rows.values():
        if row["published_mflops"]:
            assert row["paper_mflops"] == pytest.approx(row["published_mflops"], abs=0.01)
            assert row["parameters"] / 1e6 == pytest.approx(row["published_parameters_m"], abs=0.01)
    assert rows["iresnet_50"]["published_mflops"] is None


def test_published_figures_belong_to_registered_models() -> None:
    assert set(PUBLISHED) <= set(list_models())


def test_the_table_fits_80_columns(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    models()
    text = capsys.readouterr().out
    assert all(name in text for name in list_models())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    line = next(line for line in text.splitlines() if line.startswith("pocketnet_m_256"))
    assert line.split() == [
        "pocketnet_m_256", "256", "112", "1,752,448", "1.75", "M", "538.3", "1,099.16", "1,099.15",
    ]  # fmt: skip


def test_a_pattern_chooses(capsys) -> None:
    models("pocketnet_n*")
    text = capsys.readouterr().out
    assert "pocketnet_nano" in text
    assert "iresnet" not in text
    with pytest.raises(RecipeError, match=r"No model matches 'nano'.*try '\*nano\*'"):
        models("nano")


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return result.stdout


def test_without_torch_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pocketface.cli.models import models\n"
        "try: models()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    out = run(code)
    assert out.startswith("MissingExtraError")
    assert "pip install 'pocketface[train]'" in out


def test_help_needs_nothing_heavy() -> None:
    code = "import sys; import pocketface.cli.models\nprint({'torch', 'numpy'} & set(sys.modules))"
    assert run(code).strip() == "set()"
