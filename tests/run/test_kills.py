"""A short form of scripts/kill_test."""

import re
import subprocess
import sys

import pytest

from small import ROOT

COUNTS = re.compile(r"\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|")


@pytest.mark.slow
def test_runs_that_are_killed_anywhere_end_in_the_same_bytes() -> None:
    """Of two methods, at four random moments, operations on files and system calls."""
    script = [sys.executable, str(ROOT / "scripts/kill_test"), "--kills", "4", "--methods", "replay,ewc"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = {name: list(map(int, counts)) for name, *counts in COUNTS.findall(done.stdout)}
    assert rows.keys() == {"replay", "ewc"}
    for _runs, *kills, failures in rows.values():
        assert (sum(kills), failures) == (2, 0)
