"""SIGKILL at fifty random moments of one run, and at every turn of writing a checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 50
TURNS = (
    "writing the temporary file",
    "before its renaming",
    "before the link is replaced",
    "before the old are removed",
)


def test_fifty_kills_leave_a_whole_checkpoint_each_time(tmp_path, tiny_content, capsys):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_content(epochs=40)))
    parent = subprocess.run(
        [
            *[sys.executable, str(Path(__file__).with_name("killed_runs.py"))],
            *[str(recipe), str(tmp_path), "--kills", str(KILLS)],
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert parent.returncode == 0, parent.stderr
    record = json.loads(parent.stdout)
    with capsys.disabled():
        print(f"\n{json.dumps(record, indent=2)}")
    assert sum(record["random"].values()) == KILLS
    assert record["unreadable"] == record["backwards"] == 0
    assert record["same"]
    assert record["steps"] == 120
    # With a checkpoint after each step a kill costs the step in work, or the one being saved.
    assert record["lost_steps"] <= 1
    # The first time there is no checkpoint yet.
    assert record["aimed"].pop("before the first checkpoint") == 3
    assert record["aimed"] == dict(zip(TURNS, (2, 2, 2, 3), strict=True))
    # Chance must have met the run at work and while it saved.
    assert record["random"]["in a step"] > 0
    assert sum(record["random"].get(turn, 0) for turn in TURNS) > 0
