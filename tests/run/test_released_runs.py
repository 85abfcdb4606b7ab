"""Runs with switches of the released code, and what the cells of a comparison read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kept import value_of
from sapo_lite.compare.grid import make_grid
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.chat import ChatFormat
from sapo_lite.model.load import load_backbone
from sapo_lite.prompts.scoring import score
from sapo_lite.recipe import load_recipe
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.types import Candidate, Task
from small import SETTINGS, small_run

pytestmark = pytest.mark.slow

THREE = ["sequence.tasks=['oldest','odd_one_out','stars']", "training.epochs=1"]


def read(path: Path) -> Any:
    return value_of(path)


def candidates_of(run: Path, task: str) -> list[Candidate]:
    return [Candidate(**one) for one in read(run / f"candidates/{task}.json")["candidates"]]


def test_the_released_protocol_scores_and_chooses_as_the_released_code(tmp_path: Path) -> None:
    settings = ["protocol=released", "scoring.score_examples=20", "training.epochs=1"]
    _, shown = small_run(tmp_path / "run", *settings, "model.chat_template=chatml")
    losses = read(tmp_path / "run/01-oldest/losses.json")
    assert all(loss["examples"] == list(range(16)) and not loss["partial"] for loss in losses)

    def batch_mean(loss: dict[str, Any]) -> float:
        nll, tokens = loss["nll_sum"], loss["tokens"]
        return sum(sum(nll[b]) / sum(tokens[b]) for b in (slice(0, 8), slice(8, 16))) / 2

    means = [batch_mean(loss) for loss in losses]
    choice = read(tmp_path / "run/01-oldest/stage.json")["choices"]["oldest"]
    assert choice["chosen"]["index"] == means.index(min(means))
    assert choice["loss"] == pytest.approx(min(means), rel=1e-12)
    assert read(tmp_path / "run/chat.json")["end"] == "<|im_end|>\n"
    assert "in the race" not in shown


def test_from_the_third_task_on_candidates_are_scored_at_a_divided_scale(tmp_path: Path) -> None:
    settings = [*THREE, "scoring.divided_scale=true", "scoring.race=false", "model.dtype=float32"]
    small_run(tmp_path, *settings)
    recipe = load_recipe("lab", [*SETTINGS, *settings])

    def scored(stage: str, task: Task, before: str, factor: float) -> tuple[list[float], list[float]]:
        """The losses in the stage's folder, and those at this factor after the stage before."""
        backbone = load_backbone(recipe.model)
        adapter = METHODS["lorainc"].build(backbone, recipe.adapter, tasks=3, checkpointing=False)
        adapter.load(tmp_path / before / "adapter")
        for _, b in adapter.pairs:
            b.data *= factor
        pool = candidates_of(tmp_path, task.id)
        fitted = backbone.chat.fit(task, [candidate.text for candidate in pool])
        found = score(backbone, fitted, pool, examples=16)
        kept = read(tmp_path / stage / "losses.json")
        return [loss["nll_sum"][0] for loss in kept], [loss.nll_sum[0] for loss in found]

    _, second, third = load_run_tasks(recipe.sequence, None)
    kept, found = scored("02-odd_one_out", second, "01-oldest", 1.0)
    assert kept == pytest.approx(found, rel=1e-4)
    kept, found = scored("03-stars", third, "02-odd_one_out", 0.5)
    assert kept == pytest.approx(found, rel=1e-4)


def read_inputs(monkeypatch: pytest.MonkeyPatch, out: Path, *settings: str) -> dict[str, Task]:
    """Run, and note the tasks as the run fits them, by id."""
    fitted: dict[str, Task] = {}
    fit = ChatFormat.fit

    def spy(self: ChatFormat, task: Task, instructions: Sequence[str]) -> Task:
        fitted[task.id] = fit(self, task, instructions)
        return fitted[task.id]

    with monkeypatch.context() as patch:
        patch.setattr(ChatFormat, "fit", spy)
        small_run(out, *settings)
    return fitted


def test_the_cells_of_a_seed_train_and_test_on_the_same_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few tokens that inputs are cut, and more of them for a longer candidate.
    small = ["model.max_source_tokens=30", "training.epochs=1", "sequence.tasks=['oldest']"]
    grid = make_grid("lab", [*SETTINGS, *small], strategies="fixed,sapo", adapters="lorainc,zero", seeds=(0,))
    inputs = {
        cell.name: read_inputs(monkeypatch, tmp_path / cell.name, *grid.overrides[cell][len(SETTINGS) :])
        for cell in grid.recipes
    }
    assert list(inputs) == ["fixed-lorainc-0", "sapo-lorainc-0", "fixed-zero-0"]
    assert inputs["fixed-lorainc-0"] == inputs["sapo-lorainc-0"] == inputs["fixed-zero-0"]
    alone = read_inputs(monkeypatch, tmp_path / "alone", *small, "prompt.strategy=fixed")
    assert alone != inputs["fixed-lorainc-0"]  # by itself, it reads more of each input
    # With a budget of the recipe, neither needs the other.
    budget = [*small, "model.max_instruction_tokens=17"]
    both = [
        read_inputs(monkeypatch, tmp_path / name, *budget, f"prompt.strategy={name}")
        for name in ("fixed", "sapo")
    ]
    assert both[0] == both[1]
