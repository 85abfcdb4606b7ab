"""Start of commands that need no model: neither torch nor transformers is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from made_runs import made_run, two_tasks, unfinished_run
from small import ROOT

HEAVY = ("torch", "transformers", "unsloth", "datasets", "scipy.stats")

# A process that has just started and executes command lines, given as JSON: for each the exit status, what it
# wrote, and what it has imported of these.
CODE = f"""
import io, json, sys
from sapo_lite.cli import main
done = []
for words in json.loads(sys.argv[1]):
    before = {{name for name in {HEAVY} if name in sys.modules and done}}
    sys.argv = ["sapo-lite", *words]
    written = sys.stdout = sys.stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    written.flush()
    heavy = [name for name in {HEAVY} if name in sys.modules and name not in before]
    done.append([status or 0, written.buffer.getvalue().decode(), heavy])
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two strategies on two seeds."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        made_run(root / f"fixed-{seed}", two_tasks(40.0 + seed), strategy="fixed", seed=seed)
        made_run(root / f"sapo-{seed}", two_tasks(60.0 - seed), strategy="sapo", seed=seed)
    unfinished_run(root / "part", {"stars": ["01", "00"], "mood": ["00", "00"]})
    return root


COMMANDS = [
    ("--help", 0, "Prompt-aware continual fine-tuning"),
    ("--version", 0, "sapo-lite"),
    ("run --help", 0, "--dry-run"),
    ("recipes", 0, "ni_seq_c1"),
    ("recipes show lab", 0, "[adapter]"),
    ("run lab --dry-run --set nonsense=1", 2, "nonsense: no such key"),
    ("run nowhere", 2, "nowhere: no such recipe"),
    ("run lab --dry-run", 0, "plan of lab"),
    ("run lab --dry-run --set prompt.strategy=rewrite", 0, "rollouts"),
    ("compare lab --dry-run", 0, "lab: 10 runs"),
    ("probe lab --dry-run", 0, "after 2 tasks"),
    ("watch RUNS/fixed-0", 0, "everything is in"),
    ("watch RUNS", 1, "expected the folder of a run, found a folder of something else"),
    ("compare RUNS/fixed-0 RUNS/fixed-1 RUNS/sapo-0 RUNS/sapo-1", 0, "sapo"),
    ("compare RUNS/fixed-0 RUNS/sapo-0 --format markdown", 0, "sapo"),
    ("compare RUNS/fixed-0 RUNS/sapo-0 --format csv", 0, "sapo"),
    ("compare RUNS/fixed-0 RUNS/sapo-0 --format json", 0, "sapo"),
    ("show RUNS/fixed-0", 0, "AP"),
    ("show RUNS/part", 0, "2 of 3 stages are done"),
    ("runs RUNS", 0, "sapo-1"),
    ("diff RUNS/part --stage 0 --stage 1 --task stars", 0, "row 2, lost in stage 1 (stars)"),
    ("compare RUNS/fixed-0 RUNS/sapo-0 --format latex", 0, "toprule"),
    ("cite RUNS/sapo-0", 0, "shi2026sapo"),
    ("compare RUNS", 1, "expected the folder of a finished run"),
    ("report RUNS/fixed-0 --out RUNS/written.html", 0, "written.html"),
    ("export --help", 0, "--push"),
    ("export RUNS/part --to adapter", 1, "expected the instructions of the tasks, found none"),
    ("chat RUNS/part", 1, "expected the instructions of the tasks, found none"),
    ("predict RUNS/part new.csv --stage 7", 1, "expected a finished stage of the run"),
    ("report RUNS/fixed-0 --figures RUNS/figures", 0, "R-original.pdf"),
    ("diff RUNS/part --kind original", 0, "original prompts"),
]


@pytest.fixture(scope="module")
def done(finished: Path) -> dict[str, tuple[int, str, list[str]]]:
    """What became of all commands, one after the other in one process."""
    words = [[word.replace("RUNS", str(finished)) for word in command.split()] for command, *_ in COMMANDS]
    process = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(words)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.splitlines()[-1])
    return {command: tuple(one) for (command, *_), one in zip(COMMANDS, found, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "status", "shown"), COMMANDS)
def test_a_command_that_needs_no_model_starts_without_torch(
    command: str, status: int, shown: str, done: dict[str, tuple[int, str, list[str]]]
) -> None:
    found, written, heavy = done[command]
    assert (found, heavy) == (status, []), written
    assert shown in written


def test_what_reads_a_finished_run_starts_without_torch() -> None:
    modules = ("prompts.confidence", "prompts.racing", "run.workplan", "compare.read")
    imports = "; ".join(f"import sapo_lite.{module}" for module in modules)
    code = f"import sys; {imports}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_plans_and_summaries_start_without_numpy(finished: Path) -> None:
    commands = ["run lab --dry-run", "compare lab --dry-run", f"show {finished}/fixed-0", f"runs {finished}"]
    code = """
import sys
from sapo_lite.cli import main
for command in sys.argv[1:]:
    sys.argv = ["sapo-lite", *command.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
assert "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "plan of lab" in done.stdout
