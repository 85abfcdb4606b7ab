"""The command line, as a user types it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import call_on_a_terminal, run_program
from kept import value_of
from sapo_lite.recipe import shipped_recipes
from small import LAB, ROOT, call, command, small_command

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "unsloth", "ollama", "pydantic")
Typed = Callable[..., subprocess.CompletedProcess[str]]
NAMES = [path.stem for path in shipped_recipes()]
WHOLE_TRACE = ("trace", "trace_16gb")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['sapo-lite', '--help']\n"
        "from sapo_lite.cli import main\n"
        "try: main()\n"
        f"finally: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = call([sys.executable, "-c", program], cwd=ROOT)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    for name in ("run", "runs", "plan", "doctor", "show", "diff", "compare", "probe", "score", "recipes"):
        assert f" {name} " in done.stdout


def test_version_is_the_packages(typed: Typed) -> None:
    assert re.fullmatch(r"sapo-lite \d+\.\d+\.\d+\n", typed("--version").stdout)


def test_recipes_lists_every_recipe_with_its_purpose(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    listed = typed("recipes").stdout.splitlines()
    assert [line.split()[0] for line in listed] == NAMES
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in listed)


def test_a_shipped_recipe_is_shown_and_copied_but_never_over_a_file(tmp_path: Path, typed: Typed) -> None:
    shown = typed("recipes", "show", "lab")
    assert shown.stdout == (ROOT / "recipes/lab.toml").read_text(encoding="utf-8")
    assert typed("recipes", "copy", "lab", tmp_path).returncode == 0
    assert (tmp_path / "lab.toml").read_text(encoding="utf-8") == shown.stdout
    again = typed("recipes", "copy", "lab", tmp_path)
    assert again.returncode == 1
    assert (
        again.stderr == f"error: {tmp_path / 'lab.toml'} exists. Choose another path, or delete it first.\n"
    )


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("name", [n for n in NAMES if n not in WHOLE_TRACE])
def test_every_shipped_recipe_dry_runs(name: str, benchmarks: Path, typed: Typed) -> None:
    # The published data at hand lacks some train files.
    done = typed("run", name, "--dry-run", "--data", benchmarks, "--set", "sequence.missing_train=dev")
    assert done.returncode == 0, done.stderr
    assert f"plan of {name}" in done.stdout
    assert "as a user turn:" in done.stdout


@pytest.mark.slow
@pytest.mark.benchmarks_data
@pytest.mark.parametrize("name", WHOLE_TRACE)
def test_the_trace_recipe_dry_runs_on_the_tasks_that_are_here(name: str, benchmarks: Path) -> None:
    here = "sequence.tasks=['C-STANCE','FOMC','ScienceQA','NumGLUE-cm']"
    done = run_program(command("run", name, "--dry-run", "--data", benchmarks, "--set", here))
    assert done.returncode == 0, done.stderr
    assert "文本:" in done.stdout


def test_a_dry_run_of_ones_own_tasks_shows_what_is_read_from_which_columns(
    tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tmp_path / "mine/spam"
    task.mkdir(parents=True)
    entry = {"instruction": "Is it spam?", "suffix": "Answer:", "labels": ["yes", "no"]}
    (tmp_path / "mine/instructions.json").write_text(json.dumps({"spam": entry}))
    (task / "train.csv").write_text('id, message, content, label\n1, x, "You have won, call now", yes\n')
    (task / "test.json").write_text('[{"sentence": "See you at eight", "label": "no"}]')
    settings = ("sequence.suite=mine", "sequence.tasks=['spam']")
    flags = [flag for setting in settings for flag in ("--set", setting)]
    monkeypatch.setenv("COLUMNS", "300")
    done = typed("run", "lab", "--dry-run", "--data", tmp_path, *flags)
    assert "Text:\nYou have won, call now\n" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("note: ")] == [
        f"note: {task / 'train.csv'}: 1 example, inputs from column content, answers from column label; "
        "not read: id, message",
        'note: spam: none of 1 train example has the answer "no", which 1 of 1 test examples have',
        'note: spam: none of 1 test example has the answer "yes", which 1 of 1 train examples have',
        "note: spam: 1 test example: a score is known to ±98.0 points at worst (95 % interval)",
    ]


@pytest.mark.slow
def test_a_dry_run_counts_what_the_run_would_do(typed: Typed) -> None:
    settings = (
        "sequence.tasks=['oldest','odd_one_out']",
        "sequence.train_examples=100",
        "sequence.test_examples=60",
        "scoring.score_examples=10",
        "training.batch_size=16",
    )
    flags = [flag for setting in settings for flag in ("--set", setting)]
    done = typed("run", "lab", "--dry-run", *flags)
    rows = [line.split() for line in done.stdout.splitlines()]
    # 100 rows in batches of 16, three epochs; 21 x 10 forwards; 60 answers in each of three tests,
    # and once more for every test after it was learned.
    assert ["oldest", "100", "60", "21", "210", "21", "up", "to", "300"] in rows
    assert ["odd_one_out", "100", "60", "21", "210", "21", "up", "to", "240"] in rows


def test_a_recipe_fault_is_one_message_and_no_traceback(typed: Typed) -> None:
    done = typed("run", "lab", "--set", "adapter.rank=0", "--set", "training.epochs='ten'")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: --set adapter.rank=0: adapter.rank: expected a whole number of at least 1, found 0",
        "--set training.epochs='ten': training.epochs: expected a whole number of at least 1, found \"ten\"",
    ]


@pytest.mark.slow
def test_a_model_that_is_nowhere_is_one_message(tmp_path: Path) -> None:
    done = run_program(small_command(tmp_path / "run", "model.name=./nowhere"))
    assert done.returncode == 1
    assert 'error: No model at "./nowhere". Expected a folder with config.json' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_hub_model_that_is_not_on_disk_is_one_message_without_network(tmp_path: Path) -> None:
    offline = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = call(small_command(tmp_path / "run", "model.name=Qwen/Qwen3-8B"), env=offline)
    assert done.returncode == 1
    assert "Qwen/Qwen3-8B is not on this disk" in done.stderr
    assert "hf download Qwen/Qwen3-8B" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_a_terminal_results_go_to_stdout_and_notices_to_stderr_without_escape_codes(
    tmp_path: Path,
) -> None:
    done = run_program(small_command(tmp_path / "run", LAB))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "== task 1 of 2: oldest · scoring 4 candidates" in done.stderr
    assert "4 of 4 candidates scored" in done.stderr
    assert re.search(r"training: \d+/4 steps · loss \d", done.stderr)
    for part in ("BWT", "R[N,j]", "R[i,j] - R[j,j]", "prompts trained with", "peak memory"):
        assert part in done.stdout
        assert part not in done.stderr
    assert f"everything is in {tmp_path / 'run'}" in done.stdout.replace("\n", "")
    results = value_of(tmp_path / "run/results.json")
    assert f"{results['metrics']['chosen']['rougeL']['ap']:.2f}" in done.stdout


@pytest.mark.slow
def test_on_a_terminal_there_is_one_live_display(tmp_path: Path) -> None:
    arguments = [a for a in small_command(tmp_path / "run", LAB) if a != "--plain"]
    status, text = call_on_a_terminal(arguments)
    assert status == 0
    assert "\x1b[" in text
    for part in ("scoring 4 candidates", "training", "steps/s", "loss", "R so far", "to original"):
        assert part in text
    for chatter in ("Unsloth", "Warning", "it/s"):
        assert chatter not in text


@pytest.mark.slow
def test_on_a_terminal_of_80_columns_the_leaderboards_keep_their_numbers_and_stay(tmp_path: Path) -> None:
    arguments = [a for a in small_command(tmp_path / "run", LAB) if a != "--plain"]
    status, text = call_on_a_terminal(arguments, columns=80, lines=24)
    assert status == 0
    plain = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
    boards = [n for n, line in enumerate(plain) if line.startswith("4 of 4 candidates scored")]
    for place, task in enumerate(("oldest", "odd_one_out"), start=1):
        # Printed above the live part, once.
        finals = [n for n in boards if plain[n - 1].startswith(f"task {place} of 2: {task} · scoring")]
        assert len(finals) == 1
        losses = value_of(next((tmp_path / "run").glob(f"{place:02d}-*/losses.json")))
        rows = [plain[n].split() for n in range(finals[0] + 2, finals[0] + 2 + len(losses))]
        assert {row[1] for row in rows} == {f"#{one['index']}" for one in losses}
        whole = re.compile(r" +\d +#\d +~?\d+\.\d{4} +([+-]\d+\.\d{4} +)?\d+( of 16)?  \S.*")
        assert all(whole.fullmatch(plain[n].rstrip()) for n in range(finals[0] + 2, finals[0] + 6))
        assert all(len(plain[n]) <= 80 for n in range(finals[0], finals[0] + 6))
    assert "loading the backbone" in text


LONG = "a" * 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recipes", "copy", "lab", "nodir/x.toml"], "nodir/x.toml: expected the name of a file in a folder"),
        (["recipes", "copy", "lab", "f/x.toml"], "f/x.toml: expected the name of a file in a folder"),
        (["recipes", "copy", "lab", LONG], f"{LONG}: File name too long. Choose a shorter name."),
        (["recipes", "show", f"{LONG}.toml"], f"{LONG}.toml: File name too long."),
        (["run", LONG], f"{LONG}: no such recipe."),
        (["run", f"{LONG}.toml"], f"{LONG}.toml: File name too long."),
        (["run", "lab", "--out", LONG], f"{LONG}/recipe.json: File name too long."),
        (
            ["run", "lab", "--out", "f/x"],
            "f/x: Not a directory. A part of this path is a file where a folder",
        ),
        (["run", "lab", "--out", "f"], "f exists and is not a run folder."),
        (["run", "lab", "--dry-run", "--data", LONG], f"{LONG}: File name too long."),
        (["run", "lab", "--dry-run", "--data", "~no-such-user/x"], "--data ~no-such-user/x: no such folder"),
        (
            ["run", "lab", "--dry-run", "--set", f"sequence.data={LONG}"],
            "of 300 bytes (a name has at most 255)",
        ),
        (["compare", "x/" + LONG, "y"], f"x/{LONG}"),
        (["compare", "lab", "--out", LONG], f"{LONG}/comparison.json: File name too long."),
        (["compare", "lab", "--out", "f/x", "--seeds", "1"], "f/x: Not a directory."),
        (["paraphrase", "Say.", "--backend", "builtin", "--json", LONG], f"{LONG}: File name too long."),
        (["paraphrase", "Say.", "--backend", "builtin", "--json", "f/x"], "--json f/x: expected the name of"),
        (
            ["paraphrase", "Say.", "--backend", "file", "--path", LONG],
            "of 300 bytes (a name has at most 255)",
        ),
        (["score", LONG, "rows.csv", "p.txt"], f"{LONG}/adapter_config.json: File name too long."),
        (["score", "lab", f"{LONG}.csv", "p.txt"], f"{LONG}.csv: cannot be read (File name too long)"),
        (["score", "lab", "f/x.csv", "p.txt"], "f/x.csv: cannot be read (Not a directory)"),
        (["score", "lab", "rows.csv", LONG], f"{LONG}: cannot be read (File name too long)"),
        (["score", "lab", "rows.csv", "--adapter", LONG], f"{LONG}/adapter_config.json: File name too long."),
    ],
)
def test_a_path_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, arguments: list[str], message: str, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_text("a file")
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    done = typed(*arguments)
    assert done.returncode in {1, 2}  # of the command line, or of a file
    assert "Traceback" not in done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in said


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"./{LONG}", f"me/{LONG}", "me/a b"])
def test_a_model_name_that_cannot_be_is_one_sentence(tmp_path: Path, name: str) -> None:
    done = run_program(small_command(tmp_path / "run", f"model.name={name}"))
    assert done.returncode in {1, 2}  # of a model, or of the recipe
    assert "Traceback" not in done.stderr
    said = (f"error: {Path(name)}", "error: No model at", "(a name has at most 255)")
    assert any(text in done.stderr for text in said)


def test_a_tilde_behind_an_equals_sign_is_the_home_folder(
    tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data/lab").mkdir(parents=True)
    text = typed("paraphrase", "Say yes.", "--backend=builtin", "-n", "1", "--json=~/c.json")
    assert text.returncode == 0, text.stderr
    assert (tmp_path / "c.json").is_file()
    assert typed("recipes", "copy", "lab", "~/x.toml").returncode == 0
    assert typed("run", "~/x.toml", "--dry-run").returncode == 0
    for arguments, message in (
        (["run", "lab", "--out=~/c.json"], f"{tmp_path}/c.json exists and is not a run folder"),
        (["compare", "lab", "--out=~/data"], f"{tmp_path}/data exists and is not a comparison's folder"),
        (["run", "lab", "--dry-run", "--data=~/data/x"], f"--data {tmp_path}/data/x: no such folder"),
        (["compare", "~/data", "~/data"], f"{tmp_path}/data: expected the folder of a finished run"),
        (["score", "lab", "~/e.csv", "~/p.txt"], f"{tmp_path}/e.csv: cannot be read"),
        (["score", "lab", "~/e.csv", "--adapter=~/data"], f"--adapter {tmp_path}/data: expected a folder"),
    ):
        done = typed(*arguments)
        assert (done.returncode, message in done.stderr) in {(1, True), (2, True)}, done.stderr


@pytest.mark.slow
def test_help_is_there_by_its_short_name_and_texts_are_whole_phrases(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("", "run", "compare", "paraphrase", "score", "recipes"):
        words = name.split()
        short, long = (typed(*words, flag) for flag in ("-h", "--help"))
        assert "Options" in long.stdout
        assert (short.returncode, short.stdout) == (0, long.stdout)
        assert not re.search(r"  (Its|Which|Of|Who|What) ", long.stdout)


def test_completion_can_be_installed() -> None:
    # Typer would look for the shell among the parents of this process, where there may be none.
    named = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "True"}
    shown = run_program(command("--show-completion", "bash"), env=named)
    assert "complete" in shown.stdout
