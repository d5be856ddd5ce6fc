"""Runs of two processes with a sharded head against runs of one."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
