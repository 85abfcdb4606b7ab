"""Hostile text in every place that others write reaches no terminal as it is, whatever the command."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import sapo_lite.prompts.sources.concurrent as in_flight
from openai_server import FakeOpenAI
from replies import Fail
from sapo_lite.support.foreign_text import visible
from small import SETTINGS

Typed = Callable[..., subprocess.CompletedProcess[str]]

# Title of the terminal, clearing of the screen, a turned line, a code of one character, no width, markup.
EVIL = "joy\x1b]0;owned\x07\x1b[2J\u202eevil\x9b31m\u200b[red]:smile:[/red]"
NAMES = [f"task\x1b[2J\u202e{number}[red]" for number in (1, 2)]
SMALL = [
    *(setting for setting in SETTINGS if not setting.startswith("sequence.tasks")),
    "sequence.train_examples=8",
    "sequence.test_examples=4",
    "scoring.score_examples=4",
    "paraphrase.count=1",
    "training.epochs=1",
]
FLAGS = [flag for setting in SMALL for flag in ("--set", setting)]


def quoted(text: str) -> str:
    return json.dumps(text)  # a string of TOML, too


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe of two tasks with hostile names, instructions, labels, columns, rows and files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(in_flight, "BACKOFF", (0.01,))
    rows = [{f"text{EVIL}": f"{n} {EVIL}", "answer": f"{n % 2} {EVIL}"} for n in range(12)]
    file = f"rows\x1b[2J\u202e{'x'}.csv"
    with Path(file).open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    tables = [
        f"[[sequence.task]]\nname = {quoted(name)}\nfile = {quoted(file)}\n"
        f'input = {quoted(f"text{EVIL}")}\nanswer = "answer"\n'
        f"instruction = {quoted(f'Say {EVIL} {number}.')}\n"
        f"suffix = {quoted(EVIL)}\nlabels = {json.dumps([f'0 {EVIL}', f'1 {EVIL}'])}\n"
        for number, name in enumerate(NAMES)
    ]
    name = "re\x1b[2J\u202ecipe.toml"
    text = '[model]\nname = "lab"\nmax_source_tokens = 380\n' + "\n".join(tables)
    Path(name).write_text(text + '[paraphrase]\nbackend = "builtin"\n', encoding="utf-8")
    return name


def harmless(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stderr
    printed = done.stdout + done.stderr
    assert visible(printed) == printed
    assert "😄" not in printed
    return printed


def test_plans_and_rows_show_it(recipe: str, typed: Typed) -> None:
    for command in (["run", recipe, "--dry-run"], ["compare", recipe, "--dry-run", "--seeds", "1"]):
        assert "␛" in harmless(typed(*command, *FLAGS))
    assert "joy␛]0;owned␇␛[2J[U+202E]evil[U+009B]31m[U+200B][red]:smile:[/red]" in harmless(
        typed("data", "show", recipe)
    )
    assert "␛" in harmless(typed("probe", recipe, "--dry-run", "--set", "paraphrase.held_out=1", *FLAGS))


def test_checks_show_it_and_their_json_has_the_same_content(recipe: str, typed: Typed) -> None:
    done = typed("data", "check", recipe, "--json", "-")
    assert "␛" in harmless(done, code=done.returncode)
    plain = typed("data", "check", recipe, "--json", "found.json")
    assert json.loads(done.stdout) == json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert "evil" in done.stdout + plain.stdout


def test_paraphrases_show_it(recipe: str, typed: Typed) -> None:
    assert "␛" in harmless(typed("paraphrase", recipe, "-n", "2", "--plain"))
    assert "␛" in harmless(typed("paraphrase", f"Say {EVIL}.", "--backend", "builtin", "-n", "2"))


def test_what_a_server_answers_is_shown(recipe: str, typed: Typed) -> None:
    options = ("--backend", "openai", "--model", f"m{EVIL}", "-n", "2")
    with FakeOpenAI([Fail(400, EVIL)], model=f"m{EVIL}") as server:
        failed = typed("paraphrase", "Say yes or no.", "--base-url", server.url, *options)
    assert "␛" in harmless(failed, code=1)
    with FakeOpenAI(lambda body: f"Say yes {EVIL}, or no.", model=f"m{EVIL}") as server:
        rejected = typed("paraphrase", "Say yes or no.", "--base-url", server.url, *options)
    assert "broken characters" in harmless(rejected, code=1)


def test_errors_show_it(recipe: str, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "␛" in harmless(typed("run", f"no{EVIL}"), code=2)
    assert "␛" in harmless(typed("data", "show", recipe, EVIL), code=2)
    assert "␛" in harmless(typed("run", recipe, "--dry-run", "--set", f"model.dtype={EVIL}"), code=2)
    assert "␛" in harmless(typed("data", "check", recipe, "--set", f"model.loader={EVIL}"), code=2)
    assert "␛" in harmless(typed("compare", EVIL), code=1)
    monkeypatch.setenv("SAPO_LITE_DEBUG", "1")
    assert "Traceback" in harmless(typed("data", "show", recipe, EVIL), code=2)


def test_new_recipes_and_shipped_ones_show_it(recipe: str, typed: Typed) -> None:
    (rows,) = Path().glob("rows*")
    rows.rename(f"r{rows.name}")
    assert "␛" in harmless(typed("new", "new.toml", f"r{rows.name}", "--model", "lab"))
    Path(recipe).write_text(f"# {EVIL}\n", encoding="utf-8")
    assert "␛" in harmless(typed("recipes", "show", recipe))


def test_no_label_or_name_of_a_file_becomes_a_setting_of_a_new_recipe(recipe: str, typed: Typed) -> None:
    label = "no\nseed = 7\n#"
    rows = [["input", "answer"], *([f"a {n}", "yes" if n % 2 else label] for n in range(40))]
    with Path("a\nseed = 7\n#.csv").open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
    harmless(typed("new", "new.toml", "a\nseed = 7\n#.csv", "--model", "lab"))
    assert "\nseed" not in Path("new.toml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_scores_show_it(recipe: str, typed: Typed) -> None:
    Path("prompts.json").write_text(json.dumps([f"Say {EVIL}.", f"Tell {EVIL}."]), encoding="utf-8")
    (rows,) = Path().glob("rows*")
    columns = ("--input", f"text{EVIL}", "--answer", "answer")
    done = typed("score", "lab", rows, "prompts.json", *columns, "--json", "-", "--examples", "8")
    assert "␛" in harmless(done)
    assert [row["prompt"].endswith(f"{EVIL}.") for row in json.loads(done.stdout)["prompts"]] == [True, True]


@pytest.mark.slow
def test_a_run_and_comparisons_of_it_show_it(recipe: str, typed: Typed) -> None:
    assert "␛" in harmless(typed("run", recipe, "--out", "run", *FLAGS))
    assert "␛" in harmless(typed("run", recipe, "--out", "run", *FLAGS))  # its results again
    for form in ("text", "markdown", "csv", "json"):
        harmless(typed("compare", "run", "--format", form))
