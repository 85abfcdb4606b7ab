"""A run needs no network, and writes nothing but its folder and the caches in HOME."""

import os
from pathlib import Path

import pytest

from small import call, small_command

# Python imports this module first of all: it notes every attempt to reach something, and refuses it.
GUARD = """\
import os, socket

def refuse(self, address, *_):
    if self.family != socket.AF_UNIX:
        with open(os.environ["NOTED"], "a") as file:
            print(address, file=file)
        raise OSError("no network here")

socket.socket.connect = socket.socket.connect_ex = refuse
"""


@pytest.mark.slow
@pytest.mark.parametrize("loader", ["transformers", "unsloth"])
def test_a_run_connects_to_nothing_and_writes_only_its_folder_and_caches(tmp_path: Path, loader: str) -> None:
    home, elsewhere, guard = (tmp_path / name for name in ("home", "elsewhere", "guard"))
    for folder in (home, elsewhere, guard):
        folder.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    noted = tmp_path / "noted.txt"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "TRANSFORMERS_", "UNSLOTH_", "XDG_"))
    }
    environment |= {"HOME": str(home), "NOTED": str(noted), "PYTHONPATH": str(guard)}
    command = small_command(tmp_path / "run", f"model.loader={loader}")
    done = call(command, cwd=elsewhere, env=environment)
    assert done.returncode == 0, done.stderr
    assert not noted.exists(), noted.read_text()
    assert not list(elsewhere.iterdir())
    assert {path.name for path in home.iterdir()} <= {".cache", ".triton", ".config"}
