"""A run needs no network but the paraphrasing server it names, and writes nothing but its folder and the
caches in HOME."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ollama_server import FakeOllama
from small import ROOT, SETTINGS, call, command, small_command, small_run
from warm import Surroundings

CACHES = {".cache", ".triton", ".config"}

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


def environment_of(folder: Path) -> dict[str, str]:
    """An environment with the guard, an empty home, and no setting that keeps libraries off the network."""
    for name in ("home", "guard"):
        (folder / name).mkdir()
    (folder / "guard/sitecustomize.py").write_text(GUARD)
    unset = ("HF_", "TRANSFORMERS_", "UNSLOTH_", "XDG_", "SAPO_LITE_", "OLLAMA_", "OPENAI_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    folders = {"HOME": str(folder / "home"), "PYTHONPATH": str(folder / "guard")}
    return environment | folders | {"NOTED": str(folder / "noted.txt")}


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "elsewhere").mkdir()
    return environment_of(tmp_path)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    """A process that has imported the libraries under the guard. That reached for nothing, too."""
    folder = tmp_path_factory.mktemp("surroundings")
    with Surroundings(environment_of(folder)) as started:
        yield started
    assert {path.name for path in folder.iterdir()} == {"home", "guard"}
    assert {path.name for path in (folder / "home").iterdir()} <= CACHES


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_guarded(tmp_path: Path, surroundings: Surroundings) -> Run:
    """Run a command in ./elsewhere, under the guard, with an empty home."""
    for name in ("home", "elsewhere"):
        (tmp_path / name).mkdir()
    own = {"HOME": str(tmp_path / "home"), "NOTED": str(tmp_path / "noted.txt")}
    return lambda words, **more: surroundings.run(words, cwd=tmp_path / "elsewhere", more=own | more)


def written(tmp_path: Path) -> set[str]:
    """What is there besides the run folder and what tests made."""
    return {p.name for p in tmp_path.iterdir()} - {"home", "elsewhere", "guard", "run"}


def assert_only_the_run_is_written(tmp_path: Path) -> None:
    assert not written(tmp_path)  # the guard's note neither
    assert not list((tmp_path / "elsewhere").iterdir())
    assert {path.name for path in (tmp_path / "home").iterdir()} <= CACHES


@pytest.mark.slow
def test_a_run_connects_to_nothing_and_writes_only_its_folder_and_caches(
    tmp_path: Path, run_guarded: Run
) -> None:
    done = run_guarded(small_command(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert_only_the_run_is_written(tmp_path)


@pytest.mark.slow
def test_with_unsloth_a_run_connects_to_nothing_and_writes_only_its_folder_and_caches(
    tmp_path: Path, guarded: dict[str, str]
) -> None:
    """A program that has just started: Unsloth comes before all other libraries."""
    words = small_command(tmp_path / "run", "model.loader=unsloth", "sequence.tasks=['oldest']")
    done = call(words, cwd=tmp_path / "elsewhere", env=guarded)
    assert done.returncode == 0, done.stderr
    assert_only_the_run_is_written(tmp_path)


@pytest.mark.slow
def test_with_ollama_a_run_connects_to_the_named_server_only_and_keeps_its_words_in_the_cache(
    tmp_path: Path, run_guarded: Run
) -> None:
    with FakeOllama(lambda body: f"Say {body['options']['seed']} of it.") as server:
        address = server.url.removeprefix("http://")
        model = ("paraphrase.backend=ollama", "paraphrase.model=tiny", f"paraphrase.host={address}")
        command = small_command(tmp_path / "run", *model, "sequence.tasks=['oldest']", "training.epochs=1")
        # A proxy is not for this machine, whatever NO_PROXY says.
        proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
        done = run_guarded(command, **proxy, NO_PROXY="", no_proxy="", ALLOWED=address)
    assert done.returncode == 0, done.stderr
    assert set((tmp_path / "noted.txt").read_text().split()) == {address}
    assert written(tmp_path) == {"noted.txt"}
    assert not list((tmp_path / "elsewhere").iterdir())
    assert {path.name for path in (tmp_path / "home").iterdir()} <= CACHES
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
    tmp_path: Path, run_guarded: Run, arguments: tuple[str, ...]
) -> None:
    done = run_guarded(command(*arguments))
    assert done.returncode == 0, done.stderr
    assert not written(tmp_path)  # the guard's note neither


@pytest.mark.slow
def test_what_leaves_a_run_reaches_for_nothing_and_writes_what_it_says(
    tmp_path: Path, run_guarded: Run
) -> None:
    small_run(tmp_path / "run", "training.epochs=1", "evaluation.prompts=chosen")
    here = tmp_path / "elsewhere"
    (here / "new.csv").write_text("text\nkate : 41 years\n")
    for words in (("export", "../run", "--to", "adapter"), ("predict", "../run", "new.csv")):
        done = run_guarded(command(*words, "--plain"))
        assert done.returncode == 0, done.stderr
    assert not written(tmp_path)  # the guard's note neither
    assert {path.name for path in here.iterdir()} == {"new.csv", "new-odd_one_out.csv", "exports"}


REACHES = """\
import socket
connect = lambda: socket.socket().connect(("192.0.2.1", 9))
for call in (connect, lambda: socket.getaddrinfo("example.invalid", 80)):
    try:
        call()
    except OSError:
        pass
"""


def test_the_guard_sees_what_python_sends_and_looks_up(tmp_path: Path, guarded: dict[str, str]) -> None:
    assert call([sys.executable, "-c", REACHES], env=guarded).returncode == 0
    assert (tmp_path / "noted.txt").read_text().split() == ["192.0.2.1:9", "example.invalid"]


@pytest.mark.slow
def test_the_guard_sees_it_in_programs_that_are_forked(tmp_path: Path, run_guarded: Run) -> None:
    (tmp_path / "elsewhere/reaches.py").write_text(REACHES)
    assert run_guarded([sys.executable, str(tmp_path / "elsewhere/reaches.py")]).returncode == 0
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
    tmp_path: Path, surroundings: Surroundings, run_guarded: Run, arguments: tuple[str, ...], error: str
) -> None:
    done = run_guarded([*command(*arguments), "--plain", "--offline"])
    assert done.returncode == 1, done.stderr
    # The hub's library looks for the home while it is imported.
    home = surroundings.environment["HOME"]
    assert done.stderr.splitlines()[-1] == f"error: {error.format(home=home)}"
    assert not written(tmp_path)


@pytest.mark.slow
def test_offline_a_data_set_of_the_hub_is_one_sentence(tmp_path: Path, run_guarded: Run) -> None:
    words = command("new", tmp_path / "elsewhere/x.toml", "hf:some-owner/some-data", "--offline")
    done = run_guarded(words)
    assert done.returncode == 2, done.stderr
    assert "hf:some-owner/some-data: the data set is not in the cache (" in done.stderr
    assert "and --offline (or SAPO_LITE_OFFLINE) forbids to fetch it. Load it once without" in done.stderr
    assert not written(tmp_path)


@pytest.mark.slow
def test_offline_by_the_environment_holds_for_fetching_data(tmp_path: Path, guarded: dict[str, str]) -> None:
    words = command("data", "fetch", "trace", "--plain", "--base-url", ELSEWHERE)
    done = call(words, cwd=tmp_path / "elsewhere", env=guarded | {"SAPO_LITE_OFFLINE": "1"})
    assert done.returncode == 2
    assert f"{ELSEWHERE} is on another machine, and SAPO_LITE_OFFLINE forbids to connect" in done.stderr
    assert not written(tmp_path)


@pytest.mark.slow
def test_offline_a_chat_server_on_this_machine_is_asked(tmp_path: Path, run_guarded: Run) -> None:
    with FakeOllama(lambda body: f"Say {body['options']['seed']} of it.") as server:
        address = server.url.removeprefix("http://")
        ask = ("paraphrase", "Say it.", "-n", "2", "--model", "tiny", "--host", address, "--offline")
        done = run_guarded(command(*ask), ALLOWED=address)
    assert done.returncode == 0, done.stderr
    assert set((tmp_path / "noted.txt").read_text().split()) == {address}
