"""Every strategy and every adapter learns two tasks, each in one or more of the cells strategy x adapter."""

from pathlib import Path

import pytest

from sapo_lite.learning.methods import METHODS
from sapo_lite.prompts.strategies import STRATEGIES
from small import UNCUT, small_run

# A covering set: which strategy goes with which adapter makes no difference to the code, so one cell of each
# adapter does. Other pairs are in test_workplan.py, and `sapo-lite compare` runs all of them.
CELLS = [
    (list(STRATEGIES)[(number + 3) % len(STRATEGIES)], adapter) for number, adapter in enumerate(METHODS)
]
TINY = [
    UNCUT,
    "rewrite.policy=best_of",
    "rewrite.rollouts=2",
    "sequence.train_examples=8",
    "sequence.test_examples=4",
    "scoring.score_examples=4",
    "paraphrase.count=2",
    "training.batch_size=4",
    "training.micro_batch_size=4",
    "adapter.dropout=0.0",
    "adapter.replay_share=0.5",
    "adapter.fisher_examples=4",
]


def test_the_cells_cover_every_strategy_and_every_adapter() -> None:
    assert {strategy for strategy, _ in CELLS} == set(STRATEGIES)
    assert {adapter for _, adapter in CELLS} == set(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "adapter"), CELLS)
def test_a_cell_learns_two_tasks(strategy: str, adapter: str, tmp_path: Path) -> None:
    results, shown = small_run(
        tmp_path,
        *TINY,
        f"prompt.strategy={strategy}",
        f"adapter.method={adapter}",
    )
    lessons = {"joint": ["joint"], "zero": []}.get(adapter, ["oldest", "odd_one_out"])
    assert results.lessons == lessons
    for by_metric in results.matrices.values():
        assert [len(row) for row in by_metric["rougeL"]] == [2] * (1 + len(lessons))
    assert list(results.chosen) == (results.tasks if METHODS[adapter].trains else [])
    trained = sorted(path.parts[-3] for path in tmp_path.glob("*/adapter/adapter_model.safetensors"))
    assert trained == [f"{number:02d}-{lesson}" for number, lesson in enumerate(lessons, start=1)]
    assert ("penalty" in shown) == METHODS[adapter].penalty
    assert ("Fisher information: 4/4 examples" in shown) == (adapter == "ewc")
    again = "== task 2 of 2: odd_one_out · training on 12 examples, 4 of them of oldest"
    assert (again in shown) == (adapter == "replay")
    assert ("rougeL_extracted" in results.matrices["chosen"]) == STRATEGIES[strategy].rewrites
    if not STRATEGIES[strategy].needs_candidates:
        assert all(chosen.index == 0 for chosen in results.chosen.values())
