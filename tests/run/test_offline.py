"""A run needs no network but the paraphrasing server it names, and writes nothing but its folder and the
caches in HOME."""

import os
import sys
from pathlib import Path

import pytest

from ollama_server import FakeOllama
from small import ROOT, SETTINGS, call, command, small_command, small_run

# Python imports this module first of all: it notes every attempt to reach something, and refuses it. The hook
# sees all that goes through Python's sockets, also name look-ups, whoever has imported them before.
GUARD = """\
import os, sys

REACH = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
         "socket.gethostbyaddr", "socket.getnameinfo")

def guard(event, arguments):
    if event not in REACH:
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[-1]
    if isinstance(address, (str, bytes)) and event in REACH[:3]:
        return  # a socket of this machine's file system
    where = ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)
    allowed = os.environ.get("ALLOWED", "-")
    with open(os.environ["NOTED"], "a") as file:
        print(where, file=file)
    if where not in (allowed, allowed.partition(":")[0]):
        raise OSError("no network here")

sys.addaudithook(guard)
"""


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    """An environment with the guard, an empty home, and no setting that keeps libraries off the network."""
    for name in ("home", "elsewhere", "guard"):
        (tmp_path / name).mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD)
    unset = ("HF_", "TRANSFORMERS_", "UNSLOTH_", "XDG_", "SAPO_LITE_", "OLLAMA_", "OPENAI_")
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


SCORE = ("score", "lab", ROOT / "data/lab/mood/train.json", "--instruction", "What is the mood?", "--plain")
FLAGS = [flag for setting in SETTINGS for flag in ("--set", setting)]
COMPARE = ("compare", "lab", "--strategies", "fixed", "--seeds", "1", "--plain", "--out", "../run", *FLAGS)
LOCAL = {
    "run --dry-run": ("run", "lab", "--dry-run"),
    "score": (*SCORE, "--generate", "2", "--backend", "builtin", "--examples", "8"),
    "compare --dry-run": (*COMPARE, "--dry-run"),
    "paraphrase": ("paraphrase", "Say yes or no.", "--backend", "builtin", "--plain"),
    "data show": ("data", "show", "lab", "mood"),
}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", LOCAL.values(), ids=list(LOCAL))
def test_commands_reach_for_nothing_unless_they_are_told_to(
    tmp_path: Path, guarded: dict[str, str], arguments: tuple[str, ...]
) -> None:
    done = call(command(*arguments), cwd=tmp_path / "elsewhere", env=guarded)
    assert done.returncode == 0, done.stderr
    assert not written(tmp_path)  # the guard's note neither


@pytest.mark.slow
def test_what_leaves_a_run_reaches_for_nothing_and_writes_what_it_says(
    tmp_path: Path, guarded: dict[str, str]
) -> None:
    small_run(tmp_path / "run", "training.epochs=1", "evaluation.prompts=chosen")
    here = tmp_path / "elsewhere"
    (here / "new.csv").write_text("text\nkate : 41 years\n")
    for words in (("export", "../run", "--to", "adapter"), ("predict", "../run", "new.csv")):
        done = call(command(*words, "--plain"), cwd=here, env=guarded)
        assert done.returncode == 0, done.stderr
    assert not written(tmp_path)  # the guard's note neither
    assert {path.name for path in here.iterdir()} == {"new.csv", "new-odd_one_out.csv", "exports"}


def test_the_guard_sees_what_python_sends_and_looks_up(tmp_path: Path, guarded: dict[str, str]) -> None:
    reach = "import socket\nfor call in (lambda: socket.socket().connect(('192.0.2.1', 9)), "
    reach += "lambda: socket.getaddrinfo('example.invalid', 80)):\n  try: call()\n  except OSError: pass"
    assert call([sys.executable, "-c", reach], env=guarded).returncode == 0
    assert (tmp_path / "noted.txt").read_text().split() == ["192.0.2.1:9", "example.invalid"]


ELSEWHERE = "http://192.0.2.1:9"
THERE = (
    f"{ELSEWHERE} is on another machine, and --offline (or SAPO_LITE_OFFLINE) forbids to connect there. "
    'Leave that out, name a server on this machine, or use paraphrase.backend = "builtin".'
)
CLOUD = ("--backend", "ollama", "--model", "x:cloud", "--set", "paraphrase.allow_cloud=true")
OFFLINE = {
    "a model": (
        ("run", "lab", "--set", "model.name=some-owner/some-model", "--set", "model.loader=transformers"),
        "some-owner/some-model is not on this disk (looked in {home}/.cache/huggingface/hub), and --offline "
        "(or SAPO_LITE_OFFLINE) forbids to download it. Leave that out, go online once and run `hf download "
        "some-owner/some-model`, copy the model folder here and name its path in model.name, or use "
        "model.name = 'lab'.",
    ),
    "an Ollama server": (("paraphrase", "Say yes or no.", "--host", ELSEWHERE), THERE),
    "an OpenAI-compatible server": (
        ("paraphrase", "Say yes or no.", "--backend", "openai", "--base-url", ELSEWHERE),
        THERE,
    ),
    "--pull": (
        ("paraphrase", "Say yes or no.", "--pull"),
        '--pull lets Ollama download the model "qwen3:8b", and --offline (or SAPO_LITE_OFFLINE) forbids '
        "that. Leave one of them out.",
    ),
    "Ollama's cloud": (
        ("paraphrase", "lab", *CLOUD),
        'Ollama\'s cloud runs the model "x:cloud", and --offline (or SAPO_LITE_OFFLINE) forbids that. Leave '
        "one of them out.",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "error"), OFFLINE.values(), ids=list(OFFLINE))
def test_offline_what_would_connect_is_one_sentence(
    tmp_path: Path, guarded: dict[str, str], arguments: tuple[str, ...], error: str
) -> None:
    words = [*command(*arguments), "--plain", "--offline"]
    done = call(words, cwd=tmp_path / "elsewhere", env=guarded)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {error.format(home=tmp_path / 'home')}"
    assert not written(tmp_path)


@pytest.mark.slow
def test_offline_a_data_set_of_the_hub_is_one_sentence(tmp_path: Path, guarded: dict[str, str]) -> None:
    words = command("new", tmp_path / "elsewhere/x.toml", "hf:some-owner/some-data", "--offline")
    done = call(words, cwd=tmp_path / "elsewhere", env=guarded)
    assert done.returncode == 2, done.stderr
    assert "hf:some-owner/some-data: the data set is not in the cache (" in done.stderr
    assert "and --offline (or SAPO_LITE_OFFLINE) forbids to fetch it. Load it once without" in done.stderr
    assert not written(tmp_path)


def test_offline_by_the_environment_holds_for_fetching_data(tmp_path: Path, guarded: dict[str, str]) -> None:
    words = command("data", "fetch", "trace", "--plain", "--base-url", ELSEWHERE)
    done = call(words, cwd=tmp_path / "elsewhere", env=guarded | {"SAPO_LITE_OFFLINE": "1"})
    assert done.returncode == 2
    assert f"{ELSEWHERE} is on another machine, and SAPO_LITE_OFFLINE forbids to connect" in done.stderr
    assert not written(tmp_path)


@pytest.mark.slow
def test_offline_a_chat_server_on_this_machine_is_asked(tmp_path: Path, guarded: dict[str, str]) -> None:
    with FakeOllama(lambda body: f"Say {body['options']['seed']} of it.") as server:
        address = server.url.removeprefix("http://")
        ask = ("paraphrase", "Say it.", "-n", "2", "--model", "tiny", "--host", address, "--offline")
        done = call(command(*ask), cwd=tmp_path / "elsewhere", env={**guarded, "ALLOWED": address})
    assert done.returncode == 0, done.stderr
    assert set((tmp_path / "noted.txt").read_text().split()) == {address}
