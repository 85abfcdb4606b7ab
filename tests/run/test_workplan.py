"""The plan of a run is what the run does: real runs are counted while they do their work."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kept import value_of
from sapo_lite.compare.grid import make_grid
from sapo_lite.compare.plan import make_plan
from sapo_lite.data.tasks import load_sequence
from sapo_lite.learning import rewriting
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.prompts import scoring
from sapo_lite.recipe import load_recipe
from sapo_lite.run import measuring, stages
from sapo_lite.run.workplan import Amount, RunPlan, plan_of
from small import ROOT, SETTINGS, UNCUT, small_run

# So few rows that the last step of an epoch is not full.
FEW = (
    "sequence.train_examples=12",
    "sequence.test_examples=5",
    "scoring.score_examples=10",
    "training.batch_size=8",
    "training.micro_batch_size=4",
    "training.checkpoint_every=0",
)
ALL_PROMPTS = ("evaluation.prompts=all", "paraphrase.held_out=2")


@dataclass
class Counted:
    """Counts of the work that runs have done."""

    forwards: int = 0
    rollouts: int = 0
    steps: int = 0
    rows: int = 0
    gradients: int = 0
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)

    def read_answers(self, run: Path) -> None:
        for path in run.glob("*/predictions/*.json"):
            found = value_of(path)["rows"]
            self.answers[int(path.parts[-3][:2]), path.name.split("-")[0].removesuffix(".json")] += len(found)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts while the real functions do their work."""
    found = Counted()
    nll, begin, loss, roll_out, score, gradient = (
        scoring.answer_nll,
        RowBatcher.begin,
        RowBatcher._loss,
        rewriting.roll_out,
        measuring._score,
        stages.joint_gradient_norm,
    )

    def counting_nll(backbone: Any, rows: Any, **options: Any) -> Any:
        found.forwards += len(rows)
        return nll(backbone, rows, **options)

    def counting_begin(self: RowBatcher, step: int, epoch: int, numbers: Any) -> None:
        found.steps += 1
        found.rows += len(numbers)
        begin(self, step, epoch, numbers)

    def counting_loss(self: RowBatcher, numbers: Any, wording: str) -> float:
        found.forwards += len(numbers)
        return loss(self, numbers, wording)

    def counting_rollouts(*args: Any, **options: Any) -> Any:
        rollouts = roll_out(*args, **options)
        found.rollouts += len(rollouts)
        return rollouts

    def counting_score(context: Any, task: Any, instruction: str) -> float:
        found.compared[task.key] += min(context.recipe.scoring.score_examples, len(task.train))
        return score(context, task, instruction)

    def counting_gradient(backbone: Any, adapter: Any, sets: Any, batch_size: int) -> float:
        found.gradients += sum(len(one.rows) for one in sets)
        return gradient(backbone, adapter, sets, batch_size)

    monkeypatch.setattr(measuring, "_score", counting_score)
    monkeypatch.setattr(stages, "joint_gradient_norm", counting_gradient)
    monkeypatch.setattr(scoring, "answer_nll", counting_nll)
    monkeypatch.setattr(RowBatcher, "begin", counting_begin)
    monkeypatch.setattr(RowBatcher, "_loss", counting_loss)
    monkeypatch.setattr(rewriting, "roll_out", counting_rollouts)
    return found


def planned(*settings: str) -> RunPlan:
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    return plan_of(recipe, load_sequence(recipe.sequence))


REWRITE = (
    UNCUT,
    "prompt.strategy=rewrite",
    "rewrite.rollouts=2",
    "rewrite.batch_size=4",
    "rewrite.prompts=10",
)
RUNS = {
    "fixed": ("prompt.strategy=fixed",),
    "sapo, no race": ("scoring.race=false", *ALL_PROMPTS, "evaluation.robustness=1"),
    "race": ("sequence.train_examples=40", "scoring.score_examples=40"),
    "chosen prompts alone": ("evaluation.prompts=chosen",),
    "paft": ("prompt.strategy=paft", "prompt.hold=1"),
    "paft by rows": (
        "prompt.strategy=paft",
        "prompt.hold=1",
        "prompt.hold_unit=rows",
        "adapter.method=replay",
    ),
    "adversarial": ("prompt.strategy=paft", "prompt.sampling=adversarial", "prompt.draws=2", "prompt.hold=1"),
    "adversarial, joint": (
        *("prompt.strategy=paft", "prompt.sampling=adversarial", "prompt.draws=3", "prompt.hold=3"),
        "adapter.method=joint",
    ),
    "rescore": ("prompt.rescore=epoch", "scoring.race=false"),
    "base": ("prompt.state=base", "scoring.race=false", "training.gradient_norm=true"),
    "accuracy": ("prompt.indicator=accuracy", "prompt.strategy=worst"),
    "accuracy on base": ("prompt.indicator=accuracy", "prompt.state=base"),
    "length": ("prompt.indicator=length",),
    "importance on base, joint": (
        *("prompt.strategy=paft", "prompt.sampling=importance", "prompt.state=base"),
        *("adapter.method=joint", "training.gradient_norm=true"),
    ),
    "replay": ("adapter.method=replay", "adapter.replay_share=0.5", "prompt.strategy=random"),
    "replay of each": ("adapter.method=replay", "adapter.replay_rows=3", "training.schedule=constant"),
    "matrix": ("evaluation.matrix=true", "paraphrase.held_out=2", "prompt.strategy=worst"),
    "matrix, one kind at every stage": (
        *("evaluation.matrix=true", "evaluation.prompts=original", "paraphrase.held_out=2"),
        *("prompt.strategy=random", "adapter.method=joint"),
    ),
    "joint": ("adapter.method=joint", *ALL_PROMPTS, "prompt.strategy=worst"),
    "zero": ("adapter.method=zero", *ALL_PROMPTS, "evaluation.robustness=2"),
    "rewrite by best_of": (*REWRITE, "rewrite.policy=best_of", "sequence.train_examples=20"),
    "rewrite by rl": (*REWRITE, "rewrite.epochs=2", "sequence.tasks=['oldest']"),
}

FEWER_FORWARDS = ("race", "adversarial, joint")


def check(run: Path, found: Counted, *settings: str) -> None:
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    tasks, plan = load_sequence(recipe.sequence), planned(*settings)
    results, _ = small_run(run, *settings)
    found.read_answers(run)
    pools = [value_of(path) for path in run.glob("candidates/[!.]*.json")]
    assert sum(len(pool["candidates"]) - 1 for pool in pools) == plan.total.prompts
    done = (found.rollouts, found.steps, found.rows, found.gradients)
    total = plan.total
    assert done == (total.rollouts, total.steps, total.rows, total.gradients)
    # A chosen prompt that is the original has the same answers; nothing else may be missing.
    groups = METHODS[recipe.adapter.method].groups(tasks)
    learned = [(n, task) for n, group in enumerate(groups, start=1) for task in group]
    for number, task in learned:
        when = 0 if recipe.prompt.state == "base" else number
        found.answers[when, task.key] += found.compared[task.key]
        if not plan.of_task(task).answers.exact and results.chosen[task.key].index == 0:
            found.answers += Counter(
                {(stage, task.key): len(task.test) for stage in range(number, len(groups) + 1)}
            )
    for stage in range(len(groups) + 1):
        answers = sum(n for (s, _), n in found.answers.items() if s == stage)
        assert answers == plan.of_stage(stage).answers.most
    for task in tasks:
        answers = sum(n for (_, key), n in found.answers.items() if key == task.key)
        assert answers == plan.of_task(task).answers.most
    assert found.answers.total() == plan.total.answers.most


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_does_what_its_plan_says(name: str, tmp_path: Path, counted: Counted) -> None:
    check(tmp_path / "run", counted, *FEW, *RUNS[name])
    forwards = planned(*FEW, *RUNS[name]).total.forwards
    if name in FEWER_FORWARDS:
        assert not forwards.exact
        assert 0 < counted.forwards < forwards.most
    else:
        assert counted.forwards == forwards.most


def without_an_instruction(folder: Path) -> tuple[str, ...]:
    """Settings of the lab's data, the first task's instruction taken away."""
    shutil.copytree(ROOT / "data/lab", folder / "lab")
    file = folder / "lab/instructions.json"
    about = value_of(file)
    about["oldest"]["instruction"] = ""
    file.write_text(json.dumps(about))
    return (f"sequence.data={folder}",)


@pytest.mark.slow
def test_a_run_of_a_task_without_an_instruction_does_what_its_plan_says(
    tmp_path: Path, counted: Counted
) -> None:
    blank = without_an_instruction(tmp_path / "data")
    check(tmp_path / "run", counted, *FEW, *blank, *ALL_PROMPTS, "evaluation.robustness=2")


# --- both dry runs


@pytest.mark.parametrize(
    ("settings", "answers"), [((), 36 + 48), (("evaluation.prompts=all", "paraphrase.held_out=2"), 36 + 84)]
)
def test_both_dry_runs_count_the_same_answers_of_a_task_without_an_instruction(
    tmp_path: Path, settings: tuple[str, ...], answers: int
) -> None:
    overrides = [*SETTINGS, *without_an_instruction(tmp_path / "data"), *settings]
    assert planned(*overrides).total.answers == Amount(answers, exact=False)
    grid = make_grid("lab", overrides, strategies="sapo", adapters="lorainc", seeds="1")
    compared = make_plan(grid, tmp_path / "out", None)
    assert compared.work(next(iter(grid.recipes))) == planned(*overrides).total


@pytest.mark.parametrize("name", RUNS)
def test_both_dry_runs_count_the_same_work(tmp_path: Path, name: str) -> None:
    settings = [*SETTINGS, *FEW, *RUNS[name]]
    recipe = load_recipe("lab", settings)
    own = [s for s in settings if not s.startswith(("prompt.strategy=", "adapter.method="))]
    grid = make_grid("lab", own, strategies=recipe.prompt.strategy, adapters=recipe.adapter.method, seeds="1")
    (cell,) = grid.recipes
    assert make_plan(grid, tmp_path / "out", None).work(cell) == planned(*settings).total
