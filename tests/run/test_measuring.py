"""Runs that compare candidates on the untrained backbone, or by another indicator than loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kept import value_of
from sapo_lite.compare.grid import make_grid
from sapo_lite.compare.reuse import copy_pieces, sources_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.evaluation.evaluate import evaluate
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.prompts.losses import lowest
from sapo_lite.prompts.scoring import score
from sapo_lite.recipe import load_recipe
from sapo_lite.run.folder import RunFolder
from sapo_lite.run.inputs import bind
from sapo_lite.run.results import Results
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.types import Candidate, Task
from small import LAB, SETTINGS, small_run

KEYS = ("oldest", "odd_one_out")
# A learning rate at which the first training changes the model much.
BASE = ("prompt.state=base", "scoring.race=false", "training.learning_rate=0.01")


def read(path: Path) -> Any:
    return value_of(path)


def pool_of(run: Path, key: str) -> list[Candidate]:
    return [Candidate(**candidate) for candidate in read(run / f"candidates/{key}.json")["candidates"]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    out = tmp_path_factory.mktemp("runs") / "base"
    return out, small_run(out, *BASE)[0]


def untrained(run: Path, *settings: str) -> tuple[Backbone, dict[str, Task]]:
    """The backbone of a run without an adapter, and its tasks, cut to fit."""
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    backbone = load_backbone(recipe.model)
    tasks = {task.key: task for task in load_sequence(recipe.sequence)}
    return backbone, {k: backbone.chat.fit(t, [c.text for c in pool_of(run, k)]) for k, t in tasks.items()}


# --- the untrained backbone


@pytest.mark.slow
def test_with_state_base_the_choices_are_those_of_a_score_on_the_untrained_model(
    base: tuple[Path, Results],
) -> None:
    run, results = base
    backbone, tasks = untrained(run)
    for key in KEYS:
        scores = score(backbone, tasks[key], pool_of(run, key), examples=16)
        kept = read(run / f"base/losses-{key}.json")
        assert [loss["nll_sum"] for loss in kept] == [pytest.approx(s.nll_sum, rel=1e-4) for s in scores]
        assert results.chosen[key].index == lowest(scores).index
        assert results.certainty[key] is not None
    assert not list(run.glob("0*/losses*.json"))


@pytest.mark.slow
def test_only_the_first_task_has_the_same_losses_in_the_current_state(
    base: tuple[Path, Results], tmp_path: Path
) -> None:
    small_run(tmp_path, *BASE[1:])
    first, second = (
        (read(base[0] / f"base/losses-{key}.json"), read(tmp_path / f"0{number}-{key}/losses.json"))
        for number, key in enumerate(KEYS, start=1)
    )
    assert first[0] == first[1]
    assert second[0] != second[1]


@pytest.mark.slow
def test_a_run_on_another_adapter_goes_on_from_copied_losses_to_the_same_results(
    base: tuple[Path, Results], tmp_path: Path
) -> None:
    settings = (*BASE, "adapter.method=sequential")
    recipe = load_recipe("lab", [*SETTINGS, *settings])
    with RunFolder(tmp_path / "copied") as folder:
        bind(folder, recipe, load_run_tasks(recipe.sequence, None), "float32")
    copy_pieces(tmp_path / "copied", [base[0]])
    copied = sorted(path.name for path in tmp_path.glob("copied/base/*.json"))
    assert copied == [f"losses-{key}.json" for key in sorted(KEYS)]
    assert read(tmp_path / "copied/copied.json")["losses"]["score"] > 0
    found, _ = small_run(tmp_path / "copied", *settings)
    alone, _ = small_run(tmp_path / "alone", *settings)
    assert found == alone


def shared(*settings: str, strategies: str = "sapo,worst") -> Mapping[str, Mapping[str, str]]:
    grid = make_grid("lab", [*SETTINGS, *settings], strategies=strategies, adapters="lorainc,ewc", seeds="1")
    found = sources_of({cell: recipe.resolved() for cell, recipe in grid.recipes.items()})
    return {cell.name: {piece: of.name for piece, of in own.items()} for cell, own in found.items()}


def test_cells_share_the_measurements_of_all_tasks_on_the_untrained_model() -> None:
    raced = shared("prompt.state=base")
    assert raced["sapo-ewc-0"]["losses"] == "sapo-lorainc-0"
    assert "losses" not in raced["worst-lorainc-0"]  # "worst" does not race
    assert raced["worst-ewc-0"]["losses"] == "worst-lorainc-0"
    full = shared("prompt.state=base", "scoring.race=false")
    assert full["worst-lorainc-0"]["losses"] == "sapo-lorainc-0"
    by_accuracy = shared("prompt.indicator=accuracy")
    assert by_accuracy["worst-lorainc-0"]["losses"] == "sapo-lorainc-0"


# --- other indicators


@pytest.mark.slow
def test_accuracy_chooses_the_candidate_of_the_highest_zero_shot_score(tmp_path: Path) -> None:
    settings = (LAB, "prompt.indicator=accuracy", "prompt.state=base", "scoring.score_examples=12")
    results, shown = small_run(tmp_path, *settings)
    backbone, tasks = untrained(tmp_path, LAB)
    config = load_recipe("lab", list(SETTINGS)).evaluation
    for key in KEYS:
        few = Task(**{**vars(tasks[key]), "test": tasks[key].train[:12]})
        scores = [
            evaluate(backbone, few, [c.text], config).scores[TASK_METRIC] for c in pool_of(tmp_path, key)
        ]
        kept = read(tmp_path / f"base/indicator-{key}.json")
        assert [found["index"] for found in kept] == list(range(4))
        assert [found["value"] for found in kept] == pytest.approx(scores)
        assert results.chosen[key].index == scores.index(max(scores))
    assert results.certainty == dict.fromkeys(KEYS)
    assert shown.count("4 candidates by zero-shot score in percent") == 2
    assert not list(tmp_path.glob("*/losses*.json"))


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "extreme"), [("sapo", min), ("worst", max)])
def test_length_chooses_the_fewest_or_the_most_tokens(tmp_path: Path, strategy: str, extreme: Any) -> None:
    settings = (f"prompt.strategy={strategy}", "prompt.indicator=length", "training.epochs=1")
    results, shown = small_run(tmp_path, *settings)
    for number, key in enumerate(KEYS, start=1):
        lengths = [found["value"] for found in read(tmp_path / f"0{number}-{key}/indicator.json")]
        assert results.chosen[key].index == lengths.index(extreme(lengths))
        # The lab's words are tokens.
        words = [len(candidate.text.split()) for candidate in pool_of(tmp_path, key)]
        assert all(low <= high for low, high in zip(words, lengths, strict=True))
    assert "4 candidates by length in tokens" in shown
