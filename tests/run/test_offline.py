"""A run needs no network but the paraphrasing server it names, and writes nothing but its folder and the
caches in HOME."""

import os
from pathlib import Path

import pytest

from ollama_server import FakeOllama
from small import call, small_command

# Python imports this module first of all: it notes every attempt to reach something, and refuses it.
GUARD = """\
import os, socket

connect = socket.socket.connect

def guarded(self, address, *_):
    if self.family == socket.AF_UNIX:
        return
    with open(os.environ["NOTED"], "a") as file:
        print(*address[:2], sep=":", file=file)
    if f"{address[0]}:{address[1]}" != os.environ.get("ALLOWED"):
        raise OSError("no network here")
    return connect(self, address)

socket.socket.connect = socket.socket.connect_ex = guarded
"""


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    """An environment with the guard, an empty home, and no setting that keeps libraries off the network."""
    for name in ("home", "elsewhere", "guard"):
        (tmp_path / name).mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD)
    unset = ("HF_", "TRANSFORMERS_", "UNSLOTH_", "XDG_", "SAPO_LITE_CACHE", "OLLAMA_", "OPENAI_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    folders = {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path / "guard")}
    return environment | folders | {"NOTED": str(tmp_path / "noted.txt")}


def written(tmp_path: Path) -> set[str]:
    """What is there besides the run folder and what tests made."""
    return {p.name for p in tmp_path.iterdir()} - {"home", "elsewhere", "guard", "run"}


@pytest.mark.slow
@pytest.mark.parametrize("loader", ["transformers", "unsloth"])
def test_a_run_connects_to_nothing_and_writes_only_its_folder_and_caches(
    tmp_path: Path, guarded: dict[str, str], loader: str
) -> None:
    command = small_command(tmp_path / "run", f"model.loader={loader}")
    done = call(command, cwd=tmp_path / "elsewhere", env=guarded)
    assert done.returncode == 0, done.stderr
    assert not written(tmp_path)  # the guard's note neither
    assert not list((tmp_path / "elsewhere").iterdir())
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {".cache", ".triton", ".config"}


@pytest.mark.slow
def test_with_ollama_a_run_connects_to_the_named_server_only_and_keeps_its_words_in_the_cache(
    tmp_path: Path, guarded: dict[str, str]
) -> None:
    with FakeOllama(lambda body: f"Say {body['options']['seed']} of it.") as server:
        address = server.url.removeprefix("http://")
        model = ("paraphrase.backend=ollama", "paraphrase.model=tiny", f"paraphrase.host={address}")
        command = small_command(tmp_path / "run", *model, "sequence.tasks=['oldest']", "training.epochs=1")
        # A proxy is not for this machine, whatever NO_PROXY says.
        proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
        environment = {k: v for k, v in guarded.items() if k.lower() != "no_proxy"} | proxy
        done = call(command, cwd=tmp_path / "elsewhere", env={**environment, "ALLOWED": address})
    assert done.returncode == 0, done.stderr
    assert set((tmp_path / "noted.txt").read_text().split()) == {address}
    assert written(tmp_path) == {"noted.txt"}
    assert not list((tmp_path / "elsewhere").iterdir())
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {".cache", ".triton", ".config"}
    [cached] = (tmp_path / "home/.cache/sapo-lite").rglob("*.*")
    assert cached.match("paraphrases/oldest-ollama-*.json")
