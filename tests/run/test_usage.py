"""Peak memory is that of the process itself."""

import subprocess
import sys

import pytest

from small import ROOT

# A process of 600 MB that starts one which needs less than half as much.
LARGE = """\
import subprocess, sys
held = bytearray(600_000_000)
held[::4096] = b"1" * len(held[::4096])
print(subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True, check=True).stdout)
"""
SMALL = "from sapo_lite.run.usage import peak_memory; print(peak_memory()['cpu'])"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the system counts no other way")
def test_what_a_parent_holds_is_not_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE, SMALL], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 0.05 < float(done.stdout) < 0.5
