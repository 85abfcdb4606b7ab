"""`sapo-lite paraphrase`, as a user types it, and its effect on a later run."""

import io
import itertools
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from forked import Program, run_program
from kept import value_of
from ollama_server import Fail, FakeOllama, Reply, Trouble
from openai_server import FakeOpenAI
from sapo_lite.errors import BackboneError
from sapo_lite.lab.wordings import original, wordings
from sapo_lite.prompts.sources import concurrent as in_flight
from sapo_lite.prompts.sources import ollama_server
from sapo_lite.prompts.sources.chat_prompt import paraphrase_request
from sapo_lite.recipe import load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.run import prepare
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.types import Task
from small import ROOT, call, command

CHAT, PULL, UNLOAD = "POST /api/chat", "POST /api/pull", "POST /api/generate"
TEXT = "Classify the tweet as positive or negative."
SHIPPED = ", ".join(sorted(recipe.stem for recipe in (ROOT / "recipes").glob("*.toml")))
GOOD = [
    "Is the tweet positive or negative?",
    "Read what was posted. Then say whether its author sounds positive or negative.",
    "Label every post: positive where it praises, negative where it complains.",
    "Which of the two words fits the message, positive or negative?",
]
# Two tasks of the lab, whose candidates come from an Ollama model.
WITH_OLLAMA = """\
[model]
name = "lab"
quantization = "none"
dtype = "float32"
loader = "transformers"
max_source_tokens = 256
max_answer_tokens = 16
[sequence]
suite = "lab"
tasks = ["oldest", "mood"]
train_examples = 16
test_examples = 4
[paraphrase]
backend = "ollama"
model = "tiny"
count = 3
[scoring]
score_examples = 8
[training]
epochs = 1
batch_size = 8
micro_batch_size = 8
gradient_checkpointing = false
[evaluation]
max_new_tokens = 4
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OPENAI_API_KEY", "OPENAI_BASE_URL", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    # Set by the command itself; this way they end with the test.
    for name in ("GOMP_SPINCOUNT", "HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_VERBOSITY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(in_flight, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(ollama_server, "UNLOAD_LIMIT", 0.2)
    monkeypatch.setattr(ollama_server, "UNLOAD_POLL", 0.01)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def say(typed: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Done]:
    """`say("paraphrase", ...)`: the command in this process."""

    def said(*arguments: str | Path) -> Done:
        done = typed(*arguments)
        return Done(done.returncode, done.stdout, done.stderr)

    return said


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(WITH_OLLAMA, encoding="utf-8")
    return path


def in_turn(replies: Sequence[Reply], text: str = TEXT, labels: str = "") -> Callable[..., Reply | None]:
    """Replies by the number of the request, as calls side by side arrive in any order."""
    named = tuple(labels.split(",")) if labels else ()
    task = Task("instruction", "", text, "", named, "en", (), ())
    by_request = {paraphrase_request(task, number): reply for number, reply in enumerate(replies)}
    return lambda body: by_request.get(body["messages"][0]["content"])


def by_seed(body: dict[str, Any]) -> str:
    """Replies of a model that gives equal calls equal answers; every third answer lacks its labels."""
    seed = body["options"]["seed"]
    ending = "as you like" if seed % 3 == 0 else "with bright or dark"
    return f"Say {seed % 9973} {ending}."


def with_ollama(server: FakeOllama, *more: str | Path) -> tuple[str | Path, ...]:
    """An instruction for the model of this server."""
    return ("paraphrase", TEXT, "--host", server.url, "--model", "tiny", *more)


def saved(tmp_path: Path) -> dict[str, str]:
    """The answers in the cache, by request."""
    files = (tmp_path / "cache").rglob("*.json")
    return {key: said for file in files for key, said in value_of(file)["answers"].items()}


def error(text: str) -> str:
    return f"error: {text}\n"


# --- an instruction


def test_texts_go_to_stdout_and_what_happened_to_stderr(say: Callable[..., Done], tmp_path: Path) -> None:
    lost = "Is the tweet positive?"
    with FakeOllama(in_turn([GOOD[0], lost, GOOD[1]], labels="positive,negative")) as server:
        done = say(*with_ollama(server, "-n", "2", "--labels", "positive, negative"))
    assert done.code == 0
    assert done.out.splitlines() == [TEXT, GOOD[0], GOOD[1]]
    lines = [line.rstrip() for line in done.err.splitlines()]
    assert lines[0] == "== paraphrasing with ollama"
    table = lines.index('instruction: 2 paraphrases, 1 rejected (1 x label "negative" missing)')
    assert lines[table + 2 :] == [
        f"#0  original  {TEXT}",
        f"#1  ollama    {GOOD[0]}",
        f"#2  ollama    {GOOD[1]}",
        f'    rejected  label "negative" missing: {lost}',
    ]
    assert "\x1b" not in done.out + done.err
    assert len(server.bodies(CHAT)) == 3
    asked = server.bodies(CHAT)[0]["messages"][0]["content"]
    assert TEXT in asked
    assert 'letter for letter, in the same case: "positive", "negative".' in asked
    assert not server.loaded


def test_letters_may_be_labels(say: Callable[..., Done]) -> None:
    text = "Choose the best ending and answer with A, B or C."
    kept = "Three endings are given, and one of them is best: A, B or C?"
    lost = "Three endings are given, a, b and c. Name the best one."
    with FakeOllama([lost, kept]) as server:
        done = say(
            "paraphrase", text, "--labels", "A,B,C", "-n", "1", "--model", "tiny", "--host", server.url
        )
    assert done.out.splitlines() == [text, kept]
    assert f'rejected  label "A" altered: {lost}' in done.err


def test_a_label_that_the_instruction_lacks_is_told_of(say: Callable[..., Done]) -> None:
    done = say("paraphrase", TEXT, "--labels", "Positive,negative", "--backend", "builtin", "-n", "1")
    assert done.code == 0
    assert 'note: not in the instruction, so not asked for: "Positive"\n' in done.err


def test_sources_mix_and_each_gives_its_share(say: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(f"instruction = {json.dumps(GOOD[:1])}", encoding="utf-8")
    with FakeOllama(in_turn(GOOD)) as server:
        backends = ("--backend", "file", "--backend", "builtin", "--backend", "ollama/tiny")
        options = ("--path", "own.toml", "-n", "6", "--json", "-")
        done = say("paraphrase", TEXT, *backends, "--host", server.url, *options)
    assert done.code == 0
    pool = json.loads(done.out)
    origins = [candidate["origin"] for candidate in pool["candidates"]]
    # The file has one text for two places; the next source fills the other.
    assert origins == ["original", "file", *["builtin"] * 3, *["ollama/tiny"] * 2]
    assert {"text": GOOD[0], "reason": "equal to another candidate"} in pool["rejected"]


def test_a_server_that_speaks_openais_protocol_is_asked_with_the_key_of_the_environment(
    say: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with FakeOpenAI(in_turn(GOOD[:2]), key="sk-very-secret") as server:
        options = ("--backend", "openai", "--base-url", server.url, "--model", "tiny", "--temperature", "0.9")
        done = say("paraphrase", TEXT, *options, "-n", "2", "--json", "out.json")
    assert done.out.splitlines() == [TEXT, *GOOD[:2]]
    assert {body["temperature"] for body in server.bodies("POST /v1/chat/completions")} == {0.9}
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 2
    assert "very-secret" not in "".join([done.out, done.err, *written])


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (TEXT, "positive,negative"),
        ("Given a sentence, write its subject in capital letters.", ""),
        ("请判断这条推文的情感，回答正面或负面。", "正面,负面"),
    ],
)
def test_builtin_needs_no_model_for_any_instruction(say: Callable[..., Done], text: str, labels: str) -> None:
    done = say("paraphrase", text, "--labels", labels, "--backend", "builtin", "-n", "8")
    texts = done.out.splitlines()
    assert done.code == 0
    assert texts[0] == text
    assert len(texts) == len(set(texts)) == 9
    assert all(label in line for line in texts for label in labels.split(","))
    again = say("paraphrase", text, "--labels", labels, "--backend", "builtin", "-n", "8", "--seed", "1")
    assert set(again.out.splitlines()) != set(texts)


def test_the_json_file_is_a_source_of_the_same_texts(say: Callable[..., Done], tmp_path: Path) -> None:
    first = say("paraphrase", TEXT, "--backend", "builtin", "-n", "5", "--json", "out.json")
    assert first.code == 0
    pool = value_of(Path("out.json"))
    assert [candidate["text"] for candidate in pool["candidates"]] == first.out.splitlines()
    again = say("paraphrase", TEXT, "--backend", "file", "--path", "out.json", "-n", "5")
    assert again.out == first.out


def test_json_on_stdout_is_nothing_but_json(say: Callable[..., Done]) -> None:
    with FakeOllama(in_turn([GOOD[0], "no", GOOD[1]])) as server:
        done = say(*with_ollama(server, "-n", "2", "--json", "-"))
    pool = json.loads(done.out)
    assert pool["task"] == "instruction"
    assert pool["candidates"][1] == {"index": 1, "text": GOOD[0], "origin": "ollama"}
    assert [rejection["text"] for rejection in pool["rejected"]] == ["no"]
    assert "instruction: 2 paraphrases, 1 rejected" in done.err


def test_a_text_of_several_lines_is_one_line_of_the_prompts(say: Callable[..., Done]) -> None:
    steps = "1. Read the tweet.\n2. Write positive or negative."
    with FakeOllama([steps]) as server:
        done = say(*with_ollama(server, "-n", "1"))
    assert done.out.splitlines() == [TEXT, " ".join(steps.split())]


@pytest.mark.slow
def test_fewer_than_asked_for_is_said_and_no_error(say: Callable[..., Done]) -> None:
    with FakeOllama(in_turn([GOOD[0], *["Sorry, no."] * 30])) as server:
        done = say(*with_ollama(server, "-n", "2"))
    assert done.code == 0
    assert done.out.splitlines() == [TEXT, GOOD[0]]
    assert ("note: instruction: 1 of the 2 paraphrases asked for; not accepted: 11 x refuses.\n") in done.err


@pytest.mark.slow
def test_answers_are_used_again_without_a_server_until_fresh_ones_are_asked_for(
    say: Callable[..., Done],
) -> None:
    with FakeOllama(in_turn(GOOD[:2])) as server:
        first = say(*with_ollama(server, "-n", "2"))
    again = say(*with_ollama(server, "-n", "2"))
    assert (again.code, again.out) == (0, first.out)
    assert "note: instruction: paraphrases of an earlier run are used again (" in again.err
    with FakeOllama(in_turn(GOOD[2:])) as other:
        fresh = say(*with_ollama(other, "-n", "2", "--fresh"))
        kept = say(*with_ollama(other, "-n", "2"))
    assert fresh.out.splitlines() == [TEXT, *GOOD[2:]]
    assert kept.out == fresh.out
    assert len(other.bodies(CHAT)) == 2


@pytest.mark.slow
def test_another_seed_or_temperature_asks_anew(say: Callable[..., Done]) -> None:
    with FakeOllama() as server:
        for options in ((), ("--seed", "1"), ("--temperature", "1.5"), ("--unlike",), ()):
            # One more than go out at once: the last is shown what the others said.
            assert say(*with_ollama(server, "-n", "5", *options)).code == 0
    bodies = server.bodies(CHAT)
    assert {body["options"]["temperature"] for body in bodies} == {0.6, 1.5}
    assert len({(body["options"]["seed"], body["options"]["temperature"]) for body in bodies}) == 15
    assert sum("which are taken" in body["messages"][0]["content"] for body in bodies) == 1
    assert len(bodies) == 16


def test_a_model_that_ollama_lacks_is_fetched_when_asked_to(say: Callable[..., Done]) -> None:
    with FakeOllama([GOOD[0]], models=()) as server:
        refused = say(*with_ollama(server, "-n", "1"))
        assert PULL not in server.routes
        done = say(*with_ollama(server, "-n", "1", "--pull"))
    assert refused == Done(
        1,
        "",
        "== paraphrasing with ollama\n"
        + error(
            f'The Ollama server at {server.url} does not have the model "tiny". '
            "Fetch it there with: ollama pull tiny (or add --pull to this command)"
        ),
    )
    assert done.out.splitlines() == [TEXT, GOOD[0]]
    assert "pulling tiny: 523/523 MB\n" in done.err
    assert server.routes.count(PULL) == 1


def test_the_host_of_the_environment_is_asked_where_none_is_named(
    say: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeOllama([GOOD[0]]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
        done = say("paraphrase", TEXT, "-n", "1", "--backend", "ollama/tiny")
    assert done.out.splitlines() == [TEXT, GOOD[0]]


# --- a recipe


def test_a_shipped_recipe_gives_the_candidates_of_its_run(say: Callable[..., Done]) -> None:
    settings = ("--set", "sequence.tasks=['mood','oldest']", "-n", "3", "--seed", "4")
    done = say("paraphrase", "lab", *settings)
    assert done.code == 0
    assert done.out == (
        "\n".join(["# mood", original("mood"), *wordings("mood", 3, 4)])
        + "\n\n"
        + "\n".join(["# oldest", original("oldest"), *wordings("oldest", 3, 4)])
        + "\n"
    )
    assert "paraphrases: 6/6 paraphrases · oldest\n" in done.err


def test_a_recipe_is_found_by_a_path_of_any_letters(say: Callable[..., Done], tmp_path: Path) -> None:
    folder = tmp_path / "我的 recipes"
    folder.mkdir()
    (folder / "own.toml").write_text((ROOT / "recipes/lab.toml").read_text(encoding="utf-8"))
    for path in (folder / "own.toml", "我的 recipes/own.toml"):
        done = say("paraphrase", path, "--set", "sequence.tasks=['mood']", "-n", "2")
        assert done.out.splitlines() == [original("mood"), *wordings("mood", 2, 0)]


@pytest.mark.slow
@pytest.mark.benchmarks_data
def test_a_recipe_finds_its_data_in_the_folder_named(say: Callable[..., Done], benchmarks: Path) -> None:
    settings = ("--set", "sequence.missing_train=dev", "--backend", "builtin", "-n", "2", "--json", "-")
    done = say("paraphrase", "ni_seq_c1", "--data", benchmarks, *settings)
    assert done.code == 0, done.err
    pools = json.loads(done.out)["pools"]
    assert len(pools) == len(load_recipe("ni_seq_c1").sequence.tasks)
    assert {len(pool["candidates"]) for pool in pools} == {3}


def test_the_candidates_of_several_tasks_are_a_file_for_another_recipe(
    say: Callable[..., Done], tmp_path: Path
) -> None:
    settings = ("--set", "sequence.tasks=['mood','oldest']", "-n", "3")
    first = say("paraphrase", "lab", *settings, "--json", "out.json")
    again = say("paraphrase", "lab", *settings, "--backend", "file", "--path", tmp_path / "out.json")
    assert again.code == 0
    assert again.out == first.out


@pytest.mark.slow
def test_after_it_a_run_needs_no_server_for_its_candidates(
    say: Callable[..., Done], recipe: Path, tmp_path: Path
) -> None:
    with FakeOllama(by_seed) as server:
        done = say("paraphrase", recipe, "--host", server.url, "--json", "out.json")
    assert done.code == 0, done.err
    loaded = load_recipe(recipe, [f"paraphrase.host={server.url}"])
    tasks = load_run_tasks(loaded.sequence, None)
    shown = io.StringIO()
    with RunFolder(tmp_path / "run") as folder:
        progress = PlainDisplay(Console(file=shown, width=110))
        prepare.paraphrase(loaded, tasks, folder, progress, prepare.load_backbone, pull=False)  # type: ignore[arg-type]
        kept = [value_of(folder.path / f"candidates/{t.file_name}.json") for t in tasks]
    assert kept == value_of(Path("out.json"))["pools"]
    assert shown.getvalue().count("are used again") == 2


@pytest.mark.slow
def test_the_model_has_left_the_memory_when_the_backbone_is_loaded(
    say: Callable[..., Done], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def load(config: object) -> None:
        seen.append((server.loaded, server.routes[-1]))
        raise BackboneError("far enough")

    monkeypatch.setattr(prepare, "load_backbone", load)
    with FakeOllama(by_seed, polls_until_gone=3) as server:
        done = say("run", recipe, "--set", f"paraphrase.host={server.url}", "--out", "run")
    assert done.err.endswith("== loading the backbone\nerror: far enough\n")
    assert seen == [(False, "GET /api/ps")]
    assert server.routes.count(UNLOAD) == 1
    # Both tasks before the one unloading.
    assert CHAT not in server.routes[server.routes.index(UNLOAD) :]
    assert len(server.bodies(CHAT)) >= 6


@pytest.mark.slow
def test_a_run_goes_through_with_ollama_and_then_without(
    say: Callable[..., Done], recipe: Path, tmp_path: Path
) -> None:
    with FakeOllama(by_seed) as server:
        host = ("--set", f"paraphrase.host={server.url}")
        first = say("run", recipe, *host, "--out", "first")
    assert first.code == 0, first.err
    assert not server.loaded
    second = say("run", recipe, *host, "--out", "second")
    assert second.code == 0, second.err
    for name in ("candidates/mood.json", "candidates/oldest.json", "results.json"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    pool = value_of(Path("first/candidates/mood.json"))
    assert [candidate["origin"] for candidate in pool["candidates"]] == ["original", *["ollama"] * 3]


# --- what cannot be done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "expected an instruction or a recipe, found an empty text"),
        (("  \n",), "expected an instruction or a recipe, found an empty text"),
        (
            (b"caf\xe9 or tea".decode(errors="surrogateescape"),),
            "expected an instruction in UTF-8, found bytes in some other encoding",
        ),
        ((TEXT, "-n", "0"), "--count: expected a whole number of at least 1, found 0"),
        (("lab", "-n", "-3"), "--count: expected a whole number of at least 1, found -3"),
        (
            (TEXT, "--temperature", "-1"),
            "--temperature: paraphrase.temperature: expected a number of at least 0, found -1.0",
        ),
        (
            (TEXT, "--temperature", "nan"),
            "--temperature: paraphrase.temperature: expected a number of at least 0, found nan",
        ),
        (
            (TEXT, "--backend", "builtn"),
            '--backend: paraphrase.backend: expected "ollama", "openai", "self", "builtin", "file" or "lab", '
            'or a list of them, found "builtn"; did you mean "builtin"?',
        ),
        (
            (TEXT, "--backend", "builtin", "--backend", "builtin"),
            '--backend: paraphrase.backend: expected "ollama", "openai", "self", "builtin", "file" or "lab", '
            'or a list of them, found "builtin" twice',
        ),
        (
            (TEXT, "--set", "paraphrase.count=3"),
            f'--set and --data belong to a recipe; found an instruction, "{TEXT}"',
        ),
        ((TEXT, "--data", "."), f'--set and --data belong to a recipe; found an instruction, "{TEXT}"'),
        (
            ("lab", "--labels", "a,b"),
            "--labels belongs to an instruction; the tasks of a recipe have labels of their own",
        ),
        (
            (TEXT, "--backend", "file"),
            '--backend: paraphrase.path: expected a file of candidates (paraphrase.backend has "file"), '
            "found nothing",
        ),
        (
            (TEXT, "--backend", "openai"),
            '--backend: paraphrase.base_url: expected the address of an endpoint (paraphrase.backend has "'
            'openai"), found nothing',
        ),
        (
            (TEXT, "--backend", "builtin", "--json", "nowhere/out.json"),
            "--json nowhere/out.json: expected the name of a file in a folder that exists.",
        ),
        (
            ("nowhere/my recipe.toml",),
            "nowhere/my recipe.toml: no such recipe. Expected a path to a .toml file, or the name of a "
            f"shipped recipe: {SHIPPED}",
        ),
        (
            ("labb",),
            "labb: no such recipe. Expected a path to a .toml file, or the name of a shipped recipe: "
            f'{SHIPPED}; did you mean "lab"?',
        ),
    ],
)
def test_a_wrong_command_line_is_one_message_before_any_work(
    say: Callable[..., Done], arguments: tuple[str, ...], message: str
) -> None:
    said = say("paraphrase", *arguments)
    assert said.code in {1, 2}
    assert said == Done(said.code, "", error(message))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backend", "self"), 'paraphrase.backend "self" is the model of a recipe: name one.'),
        (
            ("--model", "deepseek:671b-cloud"),
            'The model "deepseek:671b-cloud" runs in Ollama\'s cloud, which would be sent your instructions: '
            "choose a local model, or allow it with paraphrase.allow_cloud = true.",
        ),
        (
            ("--host", "127.0.0.1:99999"),
            '"127.0.0.1:99999" is no address of an Ollama server: expected something like 127.0.0.1:11434 in '
            "paraphrase.host or OLLAMA_HOST.",
        ),
        (
            ("--backend", "openai", "--base-url", "http://127.0.0.1:9/v1"),
            "No server answers at http://127.0.0.1:9/v1. Start it, or correct paraphrase.base_url.",
        ),
    ],
)
def test_a_source_that_cannot_be_used_is_one_message(
    say: Callable[..., Done], options: tuple[str, ...], message: str
) -> None:
    done = say("paraphrase", TEXT, *options)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(error(message))
    assert done.err.count("\n") == 2


@pytest.mark.parametrize("installed", [False, True])
def test_without_a_server_the_command_that_starts_one_is_named(
    say: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if installed:
        (tmp_path / "ollama").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = say("paraphrase", TEXT, "--host", "127.0.0.1:9")
    start = "Start it with: ollama serve"
    if not installed:
        start = "Install Ollama from https://ollama.com/download, then start it with: ollama serve"
    assert done.err == "== paraphrasing with ollama\n" + error(
        f"No Ollama server answers at http://127.0.0.1:9. {start} "
        "(or name another server in paraphrase.host or OLLAMA_HOST; "
        'paraphrase.backend = "builtin" does without one).'
    )
    assert done.code == 1


def test_a_server_of_something_else_is_told_of(say: Callable[..., Done]) -> None:
    with FakeOpenAI() as server:
        host = server.url.removesuffix("/v1")
        done = say("paraphrase", TEXT, "--host", host)
    assert done.err.splitlines()[-1] == (
        f"error: {host} answers, but not as an Ollama server (HTTP 404 for /api/version). "
        "Correct paraphrase.host or OLLAMA_HOST."
    )


def test_a_file_that_is_not_there_is_told_of_with_the_places_looked_in(
    say: Callable[..., Done], tmp_path: Path
) -> None:
    done = say("paraphrase", TEXT, "--backend", "file", "--path", "nowhere.json")
    assert done.err.splitlines()[-1] == (
        f'error: paraphrase.path: no file "nowhere.json"; looked in {tmp_path}, {ROOT / "data"}'
    )


def test_a_file_for_other_tasks_is_told_of(say: Callable[..., Done]) -> None:
    Path("own.toml").write_text('task195 = ["a"]', encoding="utf-8")
    done = say("paraphrase", TEXT, "--backend", "file", "--path", "own.toml")
    assert done.code == 1
    assert "own.toml: expected paraphrases for " in done.err
    assert "found task195." in done.err


def test_texts_are_not_lost_when_the_json_file_cannot_be_written(say: Callable[..., Done]) -> None:
    done = say("paraphrase", TEXT, "--backend", "builtin", "-n", "2", "--json", "/dev/full")
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "error: --json /dev/full: cannot be written (No space left on device)"
    )
    assert len(done.out.splitlines()) == 3


@pytest.mark.slow
def test_none_at_all_is_an_error_that_counts_the_reasons(say: Callable[..., Done]) -> None:
    with FakeOllama(["Sorry, no."] * 99) as server:
        done = say(*with_ollama(server, "-n", "2"))
    assert (done.code, done.out) == (1, "")
    assert (
        "error: instruction: 0 of the 2 paraphrases asked for; not accepted: "
        "12 x refuses. That is fewer than paraphrase.minimum = 1."
    ) in done.err
    assert not server.loaded


def test_a_cache_that_cannot_be_written_ends_it_at_once_though_other_calls_hang(
    say: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "file"))
    with FakeOllama(in_turn([*[GOOD[0]], *[Trouble.HANG] * 3])) as server:
        done = say(*with_ollama(server, "-n", "4"))
        assert UNLOAD in server.routes  # a busy machine may come to a call that hangs after it
    assert done.code == 1
    assert done.err.splitlines()[-1].endswith(
        "paraphrases are kept here, and the file cannot be written (Not a directory). "
        "Name a folder that can be written to in SAPO_LITE_CACHE."
    )


@pytest.mark.slow
def test_a_server_that_is_always_busy_ends_it_and_what_was_said_is_kept(
    say: Callable[..., Done], tmp_path: Path
) -> None:
    busy = Fail(503, "server busy, please try again.  maximum pending requests exceeded")
    with FakeOllama([*GOOD[:2], *[busy] * 99]) as server:
        settings = ("--set", "sequence.tasks=['odd_one_out']", "--set", "paraphrase.parallel=1")
        options = ("--backend", "ollama/tiny", "--host", server.url, "-n", "4")
        done = say("paraphrase", "lab", *settings, *options)
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        f"error: Ollama at {server.url} was busy (HTTP 503) 3 times in a row. "
        "See that it runs, then start the same command again: what it has said is kept."
    )
    assert sorted(saved(tmp_path).values()) == sorted(GOOD[:2])
    assert not server.loaded


# --- real processes


def as_process(*arguments: str | Path) -> Program:
    return Program(command(*arguments))


def wait_for_chats(server: FakeOllama, count: int, process: Program) -> None:
    deadline = time.monotonic() + 60
    while len(server.bodies(CHAT)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_help_names_every_option_and_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['sapo-lite', 'paraphrase', '--help']\n"
        "from sapo_lite.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'ollama', 'httpx', 'sapo_lite.recipe') if m in sys.modules],"
        " file=sys.stderr)"
    )
    done = call([sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "COLUMNS": "110"})
    assert (done.returncode, done.stderr) == (0, "[]\n")
    options = (
        "--count -n --labels --backend --model --host --base-url --path --temperature --seed --unlike --set "
        "--data --pull --fresh --json --plain"
    )
    for option in options.split():
        assert f" {option} " in done.stdout


@pytest.mark.slow
def test_a_process_gives_the_same_without_escape_codes() -> None:
    with FakeOllama(in_turn(GOOD[:2])) as server:
        done = run_program(command(*with_ollama(server, "-n", "2")))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [TEXT, *GOOD[:2]]
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    shell = " ".join([*command("paraphrase", "lab", "-n", "20"), "2>err.txt", "|", "head", "-n", "1"])
    assert call(["sh", "-c", shell]).stdout == "# stars\n"
    assert "Traceback" not in Path("err.txt").read_text()


@pytest.mark.slow
def test_faults_of_a_server_are_one_line() -> None:
    """One that refuses, and one that lacks the model."""
    with FakeOllama(models=()) as lacking:
        for host in ("127.0.0.1:9", lacking.url):
            done = run_program(command("paraphrase", TEXT, "--host", host, "--model", "tiny"))
            assert (done.returncode, done.stdout) == (1, "")
            assert re.fullmatch(r"== paraphrasing with ollama\nerror: [^\n]+\n", done.stderr)


@pytest.mark.slow
def test_the_text_is_a_file_of_prompts_for_score() -> None:
    name = ROOT / "data/lab/mood/train.json"
    text = original("mood")
    made = run_program(command("paraphrase", text, "--backend", "lab", "-n", "3"))
    Path("prompts.txt").write_text(made.stdout, encoding="utf-8")
    scored = run_program(command("score", "lab", name, "prompts.txt", "--examples", "8", "--json", "-"))
    assert scored.returncode == 0, scored.stderr
    rows = sorted(json.loads(scored.stdout)["prompts"], key=lambda row: row["index"])
    assert [row["prompt"] for row in rows] == [text, *wordings("mood", 3, 0)]


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_said_and_the_same_command_goes_on(tmp_path: Path) -> None:
    hangs = Trouble.HANG
    first = in_turn([*GOOD[:2], hangs, hangs])
    second = in_turn(["asked again", "asked again", *GOOD[2:]])
    model = first
    with FakeOllama(lambda body: model(body)) as server:
        arguments = with_ollama(server, "-n", "4")
        process = as_process(*arguments)
        wait_for_chats(server, 4, process)
        while len(saved(tmp_path)) < 2:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        assert (process.returncode, out) == (130, "")
        assert err.splitlines()[-1] == "interrupted: the same command goes on where it stopped"
        assert "Traceback" not in err
        assert server.routes[-1] == UNLOAD
        assert server.bodies(UNLOAD) == [{"model": "tiny", "keep_alive": 0, "stream": False}]
        assert set(saved(tmp_path).values()) == set(GOOD[:2])
        asked = len(server.bodies(CHAT))
        model = second
        done = run_program(command(*arguments))
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [TEXT, *GOOD]
        # The two that were missing, whose calls had hung.
        assert len(server.bodies(CHAT)) == asked + 2


@pytest.mark.slow
@pytest.mark.parametrize("route", ["/api/version", "/api/generate"])
def test_ctrl_c_ends_it_though_the_server_hangs_elsewhere(route: str) -> None:
    with FakeOllama([Trouble.HANG] * 4, troubles={route: Trouble.HANG}) as server:
        process = as_process(*with_ollama(server, "-n", "4"))
        if route == "/api/version":
            while not server.routes:
                time.sleep(0.005)
        else:
            wait_for_chats(server, 4, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted: the same command goes on where it stopped"
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_terminal_shows_accepted_and_rejected_candidates_live() -> None:
    spoken = [*[GOOD[0], "Is the tweet positive?"], "Say it.", *[GOOD[1]], *[Trouble.HANG] * 4]
    replies = in_turn(spoken, labels="positive,negative")
    leader, follower = pty.openpty()
    terminal = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "130", "LINES": "50"}
    with FakeOllama(replies) as server:
        arguments = with_ollama(server, "-n", "4", "--labels", "positive,negative")
        process = Program(command(*arguments), err=follower, env=terminal)
        os.close(follower)
        # Four answers are there, two calls hang.
        read_until(
            leader,
            "paraphrasing with ollama",
            "instruction: 2 paraphrases, 2 rejected",
            GOOD[0],
            'label "negative" missing: Is the tweet positive?',
            'label "positive" missing: Say it.',
            "2/4",
        )
        process.send_signal(signal.SIGINT)
        read_until(leader, "interrupted: ")
        out, _ = process.communicate()
    os.close(leader)
    assert (process.returncode, out) == (130, "")


def read_until(terminal: int, *parts: str) -> None:
    """Read what a terminal shows, styles left aside, until all of this has been seen."""
    shown, deadline = "", time.monotonic() + 60
    while missing := [part for part in parts if part not in shown]:
        assert time.monotonic() < deadline, f"not shown: {missing}"
        if select.select([terminal], [], [], 1)[0]:
            chunk = os.read(terminal, 65536).decode(errors="replace")
            shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", chunk)


@pytest.mark.slow
def test_a_run_killed_while_it_paraphrases_goes_on_to_the_same_candidates(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("candidates/oldest.json", "candidates/mood.json")

    def run_until(out: Path, server: FakeOllama, reached: Callable[[], bool]) -> None:
        """Start the run and kill it when it is so far."""
        process = as_process("run", recipe, "--out", out, "--set", f"paraphrase.host={server.url}")
        deadline = time.monotonic() + 120
        while not reached():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        process.communicate()

    def has_candidates(out: Path) -> bool:
        return all((out / name).exists() for name in names)

    def answer(body: dict[str, Any]) -> str | Trouble:
        return Trouble.HANG if next(turns) in range(4, 8) else by_seed(body)

    turns = itertools.count()
    with FakeOllama(answer) as server:
        run_until(Path("broken"), server, lambda: len(saved(tmp_path)) > 2)
        assert not Path("broken/candidates").exists()
        asked = len(saved(tmp_path))
        turns = itertools.count(8)
        run_until(Path("broken"), server, lambda: has_candidates(Path("broken")))
        monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "other"))
        before = len(server.bodies(CHAT))
        run_until(Path("whole"), server, lambda: has_candidates(Path("whole")))
        assert len(server.bodies(CHAT)) - before > asked
    for name in names:
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes()
    pool = value_of(Path("whole", names[1]))
    assert pool["rejected"], "the comparison is of answers both accepted and rejected"
