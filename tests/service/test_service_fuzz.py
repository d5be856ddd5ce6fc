"""The service against what schemathesis makes of its own OpenAPI description."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from service_made import made_engine, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXAMPLES = 15


def test_nothing_that_its_description_allows_or_forbids_breaks_the_service(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "fuzz_pictures",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with running(made_engine(tmp_path)) as client:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{client.base_url}/openapi.json"),
            *("--max-examples", str(EXAMPLES), "--checks", "all", "--seed", "1"),
            # Random bytes are a file to the description, and no photograph.
            *("--exclude-checks", "positive_data_acceptance"),
            *("--suppress-health-check", "all", "--request-timeout", "60"),
        ]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
        counted = re.search(r"(\d+) generated, (\d+) passed", ended.stdout)
        assert counted is not None, ended.stdout
        assert counted[1] == counted[2]
        assert int(counted[1]) >= 200
        assert "Tested: 8" in ended.stdout
        text = client.get("/metrics").text
        assert 'status="500"' not in text
        # Pictures went all the way through, so more than the refusals was tried.
        for path in ("/verify", "/identify", "/enroll"):
            assert f'method="POST",path="{path}",status="200"' in text
