"""Extensions: one entry of a registry is enough for recipes, plans, comparisons and runs."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sapo_lite.compare.grid import make_grid
from sapo_lite.compare.reuse import sources_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.metrics import METRICS
from sapo_lite.learning.methods import METHODS, Method
from sapo_lite.prompts.schedules import AfterTraining
from sapo_lite.prompts.sources import SOURCES, SourceKind
from sapo_lite.prompts.strategies import STRATEGIES
from sapo_lite.prompts.strategy import Strategy
from sapo_lite.recipe import load_recipe
from sapo_lite.report.plan_view import plan
from sapo_lite.types import Candidate, Task, TrainingSet
from small import LAB, SETTINGS, small_run


def planned(*settings: str) -> list[str]:
    """The line of the first task in a dry run: task, train, test, candidates, forwards, steps, answers."""
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    console = Console(width=120)
    with console.capture() as capture:
        console.print(plan(recipe, load_sequence(recipe.sequence)))
    (row,) = [line.split() for line in capture.get().splitlines() if line.startswith("oldest ")]
    return row


def refused(*settings: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe("lab", [*SETTINGS, *settings])
    return str(caught.value)


def test_a_recipe_is_read_without_torch() -> None:
    code = "import sys, sapo_lite.recipe as r; r.load_recipe('lab'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- a strategy without candidates


@pytest.fixture
def terse(monkeypatch: pytest.MonkeyPatch) -> str:
    entry = Strategy(
        "the original instruction, cut to its first sentence",
        lambda given: replace(
            given.candidates[0], text=given.candidates[0].text.partition(".")[0], origin="terse"
        ),
        needs_candidates=False,
        needs_losses=False,
    )
    monkeypatch.setitem(STRATEGIES, "terse", entry)
    return "prompt.strategy=terse"


def test_a_strategy_without_candidates_asks_for_no_paraphrasing_model(terse: str) -> None:
    recipe = load_recipe("lab", [*SETTINGS, terse, "paraphrase.backend=ollama"])
    assert not recipe.wants_candidates
    assert planned(terse)[3:5] == ["1", "0"]
    assert '"rewrite" or "terse", found "ters"; did you mean "terse"?' in refused("prompt.strategy=ters")
    top_k = 'prompt.top_k: expected 1 (prompt.strategy is "terse"), found 3'
    assert top_k in refused(terse, "prompt.top_k=3")


def test_nothing_that_is_not_trained_asks_for_a_paraphrasing_model() -> None:
    recipe = load_recipe("lab", [*SETTINGS, "adapter.method=zero", "paraphrase.backend=ollama"])
    assert not recipe.wants_candidates
    held_out = refused("adapter.method=zero", "paraphrase.backend=ollama", "paraphrase.held_out=2")
    assert "paraphrase.model: expected the name of a model" in held_out


def test_a_new_strategy_is_compared_with_others(terse: str) -> None:
    grid = make_grid("lab", SETTINGS, strategies="fixed,sapo,terse", adapters=None, seeds="1")
    found = sources_of({cell: recipe.resolved() for cell, recipe in grid.recipes.items()})
    by_name = {cell.name: {p: other.name for p, other in copied.items()} for cell, copied in found.items()}
    both = {"candidates": "fixed-lorainc-0", "zero-shot": "fixed-lorainc-0"}  # fixed makes them to fit inputs
    assert by_name["terse-lorainc-0"] == both


@pytest.mark.slow
def test_a_run_of_a_strategy_without_candidates_makes_no_paraphrase(terse: str, tmp_path: Path) -> None:
    results, shown = small_run(tmp_path, terse)
    assert results.strategy == "terse"
    assert "paraphras" not in shown
    assert not list(tmp_path.glob("candidates/*.json"))
    assert not list(tmp_path.glob("*/losses.json"))


# --- a strategy that acts while a task is trained


@dataclass
class Turns:
    """Every candidate for a step, in turn. It asks for one loss a step; what it ends with is tested with."""

    candidates: Sequence[Candidate]
    used: list[Candidate] = field(default_factory=list)

    def at(self, step: int, loss: Callable[[str], float], epoch: int) -> str:
        candidate = self.candidates[step % len(self.candidates)]
        assert loss(candidate.text) > 0
        self.used.append(candidate)
        return candidate.text

    def after_training(self) -> AfterTraining:
        return AfterTraining(final=self.candidates[3], replayed=self.candidates[3])


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[Turns]:
    made: list[Turns] = []

    def schedule(given: Any) -> Turns:
        made.append(Turns(given.candidates))
        return made[-1]

    entry = Strategy(
        "every candidate in turn while training",
        lambda given: given.candidates[0],
        needs_losses=False,
        schedule=schedule,
        forwards_in_training=lambda _config, sizes: sizes.steps * sizes.batch_size,
        held_out=lambda count: count // 3,
        settings=("hold",),
    )
    monkeypatch.setitem(STRATEGIES, "turns", entry)
    return made


def test_a_strategy_that_acts_in_training_says_what_it_takes(turns: list[Turns]) -> None:
    recipe = load_recipe("lab", [*SETTINGS, "prompt.strategy=turns", "prompt.hold=2"])
    assert (recipe.paraphrase.held_out, recipe.needs.losses) == (1, False)
    assert planned("prompt.strategy=turns")[3:7] == ["4", "up", "to", "64"]  # 4 steps of 16 rows
    others = refused("prompt.strategy=sapo", "prompt.hold=2")
    assert 'prompt.hold: expected 4 (prompt.strategy is "sapo"), found 2' in others


@pytest.mark.slow
@pytest.mark.parametrize("method", ["replay", "ewc"])
def test_a_new_schedule_is_replayed_and_tested_with_what_it_ends_with(
    turns: list[Turns], method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TrainingSet] = []
    replay_rows = METHODS[method].replay_rows

    def watched(
        backbone: Any, config: Any, past: Sequence[TrainingSet], new: Sequence[TrainingSet], seed: int
    ) -> Any:
        seen.extend(past)
        return replay_rows(backbone, config, past, new, seed)

    monkeypatch.setitem(METHODS, method, replace(METHODS[method], replay_rows=watched))
    results, _ = small_run(tmp_path, "prompt.strategy=turns", f"adapter.method={method}")
    assert [len(schedule.used) for schedule in turns] == [4, 4 if method == "ewc" else 6]
    assert [candidate.index for candidate in turns[0].used] == [0, 1, 2, 3]
    assert {candidate.index for candidate in results.chosen.values()} == {3}
    (past,) = seen
    assert past.schedule is None
    assert {row.instruction for row in past.rows} == {turns[0].candidates[3].text}


# --- an adapter method


@pytest.fixture
def shrinking(monkeypatch: pytest.MonkeyPatch) -> str:
    def build(backbone: Any, config: Any, *, tasks: int, checkpointing: bool) -> Any:
        """One block, and a penalty on the size of its weights."""
        from sapo_lite.learning.adapters.blocks import BlockAdapter

        adapter = BlockAdapter(backbone, config, blocks=1, checkpointing=checkpointing)
        weights = [weight for pair in adapter.pairs for weight in pair]
        adapter.penalty = lambda: config.penalty_weight * sum(w.square().sum() for w in weights)
        return adapter

    entry = Method(
        "one block of small weights, and all rows of earlier tasks again",
        build,
        replay_rows=lambda _backbone, _config, past, _new, _seed: list(past),
        replay_count=lambda _config, past, _new: sum(past),
        penalty=True,
        settings=("penalty_weight",),
    )
    monkeypatch.setitem(METHODS, "shrinking", entry)
    return "adapter.method=shrinking"


def test_a_new_method_is_known_to_recipes_and_comparisons(shrinking: str) -> None:
    weight = 'adapter.penalty_weight: expected a number above 0 (adapter.method is "shrinking"), found 0'
    assert weight in refused(shrinking, "adapter.penalty_weight=0")
    assert 'did you mean "shrinking"?' in refused("adapter.method=shrinkin")
    grid = make_grid("lab", SETTINGS, strategies="fixed,sapo", adapters="lorainc,shrinking,zero", seeds="1")
    names = [cell.name for cell in grid.recipes]
    assert names[2:] == ["fixed-shrinking-0", "sapo-shrinking-0", "fixed-zero-0"]
    found = sources_of({cell: recipe.resolved() for cell, recipe in grid.recipes.items()})
    (copied,) = [set(pieces) for cell, pieces in found.items() if cell.name == "sapo-shrinking-0"]
    assert copied == {"candidates", "zero-shot", "losses"}


@pytest.mark.slow
def test_a_run_on_a_new_method_goes_through(shrinking: str, tmp_path: Path) -> None:
    results, shown = small_run(
        tmp_path, shrinking, "adapter.penalty_weight=0.01", "prompt.strategy=fixed", "training.epochs=1"
    )
    assert (results.adapter, results.lessons) == ("shrinking", ["oldest", "odd_one_out"])
    assert "penalty" in shown
    assert "== task 2 of 2: odd_one_out · training on 64 examples, 32 of them of oldest" in shown


# --- a source of paraphrases


@dataclass(frozen=True)
class Suffixed:
    """The instruction with a word behind it, another one each time."""

    generated = False

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str]:
        yield from (f"{task.instruction} {'Go on. ' * (number + 1)}".strip() for number in numbers)


@pytest.fixture
def suffixed(monkeypatch: pytest.MonkeyPatch) -> str:
    @contextmanager
    def opened(_name: str, _config: Any, _around: Any) -> Iterator[Suffixed]:
        yield Suffixed()

    monkeypatch.setitem(SOURCES, "suffixed", SourceKind(opened, needs=("path",), reads_a_file=True))
    return "paraphrase.backend=suffixed"


def test_a_new_source_says_what_it_needs(suffixed: str) -> None:
    path = 'expected a file of candidates (paraphrase.backend has "file" or "suffixed"), found nothing'
    assert path in refused(suffixed)
    load_recipe("lab", [*SETTINGS, suffixed, "paraphrase.path=x"])
    load_recipe("lab", [*SETTINGS, suffixed, "prompt.strategy=fixed"])
    assert 'found "suffixed/model"' in refused("paraphrase.backend=suffixed/model")


@pytest.mark.slow
def test_a_run_takes_its_paraphrases_from_a_new_source(suffixed: str, tmp_path: Path) -> None:
    results, shown = small_run(tmp_path, suffixed, "paraphrase.path=x", "training.epochs=1")
    assert "paraphrasing with suffixed" in shown
    assert len(list(tmp_path.glob("candidates/*.json"))) == len(results.tasks)


# --- a metric


@pytest.mark.slow
def test_a_metric_is_in_the_results_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(
        METRICS, "one_word", lambda prediction, reference, labels: float(len(prediction.split()) == 1)
    )
    results, _ = small_run(tmp_path, LAB, "prompt.strategy=fixed", "training.epochs=1")
    assert results.task_metrics == dict.fromkeys(results.tasks, "rougeL")
    for by_metric in results.matrices.values():
        assert by_metric["task_metric"] == by_metric["rougeL"]
        assert all(len(row) == 2 and all(0 <= score <= 100 for score in row) for row in by_metric["one_word"])
        assert max(by_metric["one_word"][-1]) > 0
    assert results.metrics["chosen"]["one_word"].ap == results.matrices["chosen"]["one_word"][-1][0] / 2 + (
        results.matrices["chosen"]["one_word"][-1][1] / 2
    )
