"""Every command in the README works as printed there."""

import csv
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from file_server import FileServer
from forked import run_program
from sapo_lite.recipe import load_recipe, recipe_text, shipped_recipes
from small import ROOT, call, command

OWN = "my.toml"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip()
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]


# Whole runs are shortened.
FEW = [
    part
    for setting in (
        *("sequence.train_examples=16", "sequence.test_examples=4", "scoring.score_examples=8"),
        *("training.epochs=1", "paraphrase.count=2"),
    )
    for part in ("--set", setting)
]


def make_target(name: str) -> str:
    """What make would run for a target, without running it."""
    # Not as part of the make that may run the tests.
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return call(["make", "--dry-run", "--always-make", name], cwd=ROOT, env=outside).stdout


def test_the_readme_starts_with_two_commands() -> None:
    assert [c for c in COMMANDS if c.startswith("make")][:2] == ["make lab", "make test"]


def test_the_matrix_of_the_readme_is_that_of_the_first_run_and_its_tasks_are_in_the_recipes_order() -> None:
    (matrix,) = re.findall(r"```text\n(R: .*?)```", README, flags=re.DOTALL)
    assert matrix in (ROOT / "docs/first-run.md").read_text(encoding="utf-8")
    assert re.findall(r"^\d (\w+)", matrix, flags=re.MULTILINE) == list(load_recipe("lab").sequence.tasks)


def test_make_lab_runs_the_lab_recipe_and_make_test_this_suite() -> None:
    assert "sapo-lite run recipes/lab.toml" in make_target("lab")
    assert "make test" in (ROOT / ".ci/run").read_text()
    tests = r"bin/python -m pytest -n \d+ --dist loadfile --no-loadscope-reorder"
    for target, ending in (("test", "\n"), ("check", ' -m "not slow"\n')):
        lines = make_target(target)
        assert all(f"bin/{tool}" in lines for tool in ("ruff check", "ruff format --check", "mypy"))
        assert re.search(tests + re.escape(ending) + r"\Z", lines)


def shown_by(words: Sequence[str]) -> list[str]:
    """What a command writes to stdout if it did what the README says, whatever the numbers are."""
    match words:
        case ["new", *_]:
            return ["guessed", "tickets", "reviews", "qa", "billing, login"]
        case ["data", "check", *_]:
            return ["different inputs", "findings in 3 tasks"]
        case ["data", "fetch", *_]:
            return ["SUPERNI"]
        case ["run", "my.toml", *_]:
            return ["R: each task's own metric in percent", "tickets", "BWT", "everything is in"]
        case ["run", name, *_] if "--dry-run" in words:
            return [f"plan of {name}", "forwards", "first training example of", "its answer:"]
        case ["run", *_]:
            return ["R: ROUGE-L in percent", "BWT", "prompts trained with", "peak memory", "everything is in"]
        case ["compare", *_]:
            return ["runs, by seeds, in ", "in all"]
        case ["recipes"]:
            return [path.stem for path in shipped_recipes()]
        case ["recipes", "show", name]:
            return [recipe_text(name)]
        case ["paraphrase", given, *_]:
            return [f"{given}\n" if " " in given else "# task"]
        case ["score", *_]:
            return ["prompts by answer loss, in nats per token", "best: #"]
    raise AssertionError(f"what {words} shows is not known: add it")


def test_what_each_readme_command_shows_is_known() -> None:
    lines = [shlex.split(line)[1:] for line in COMMANDS if line.startswith("sapo-lite")]
    assert len(lines) > 8
    assert all(shown_by(words) for words in lines)


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("sapo-lite") and OWN not in c])
def test_a_readme_command_works(
    line: str, benchmarks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recipes for a GPU are dry-run, others shortened, files come from a server here; else as printed."""
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    words = [str(benchmarks) if word == "FOLDER" else word for word in shlex.split(line)[1:]]
    if words[0] == "run" and words[1].startswith(("ni_seq", "trace")) and not words[1].endswith("_cpu"):
        words += ["--dry-run", "--set", "sequence.missing_train=dev"]
    elif words[0] == "run":
        words += ["--out", str(tmp_path / "run"), *FEW]
    with FileServer(published(benchmarks)) as server:
        words += ["--base-url", server.url] if words[:2] == ["data", "fetch"] else []
        done = run_program(command(*words), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert [text for text in shown_by(words) if text not in done.stdout] == []


def published(benchmarks: Path) -> dict[str, bytes]:
    """The files that the README fetches, by their paths in the repository."""
    tasks = [path for number in ("195", "1310") for path in benchmarks.glob(f"SUPERNI/task{number}_*/*.json")]
    files = [benchmarks / "SUPERNI/instructions.json", *tasks]
    return {str(path.relative_to(benchmarks)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_files_of_ones_own_become_a_finished_run(tmp_path: Path) -> None:
    """The three commands of "Your own tasks", in order, on files such as they name."""
    topics = ["billing", "login"]
    rows = [(f"Ticket {n}", f"My {topics[n % 2]} does not work.", topics[n % 2]) for n in range(20)]
    with (tmp_path / "tickets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("subject", "body", "topic"), *rows])
    reviews = [{"review": f"Day {n}: {['bad', 'good'][n % 2]}.", "stars": n % 2 + 1} for n in range(20)]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, reviews)), encoding="utf-8")
    asked = [{"context": f"Bob has {n} cats.", "question": "How many?", "answer": str(n)} for n in range(20)]
    (tmp_path / "qa.json").write_text(json.dumps(asked), encoding="utf-8")
    for line in (c for c in COMMANDS if OWN in c):
        words = shlex.split(line)[1:]
        few = ["--set", "training.epochs=1", "--out", str(tmp_path / "run")] if words[0] == "run" else []
        done = run_program(command(*words, *few), cwd=tmp_path)
        assert "Traceback" not in done.stderr
        assert done.returncode == (1 if "check" in words else 0), done.stderr  # small tests are a finding
        assert [text for text in shown_by(words) if text not in done.stdout] == []
