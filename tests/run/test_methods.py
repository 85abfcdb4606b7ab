"""Every method is a cell of strategy x adapter: each of them learns two tasks."""

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from sapo_lite.learning.methods import METHODS
from sapo_lite.recipe import PromptConfig
from small import small_run

STRATEGIES = get_args(PromptConfig.model_fields["strategy"].annotation)
TINY = [
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


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "adapter"), list(product(STRATEGIES, METHODS)))
def test_every_strategy_learns_on_every_adapter(strategy: str, adapter: str, tmp_path: Path) -> None:
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
    assert list(results.chosen) == ([] if adapter == "zero" else results.tasks)
    trained = sorted(path.parts[-3] for path in tmp_path.glob("*/adapter/adapter_model.safetensors"))
    assert trained == [f"{number:02d}-{lesson}" for number, lesson in enumerate(lessons, start=1)]
    assert ("penalty" in shown) == (adapter in {"olora", "ewc"})
    assert ("Fisher information: 4/4 examples" in shown) == (adapter == "ewc")
    again = "== task 2 of 2: odd_one_out · training on 12 examples, 4 of them of oldest"
    assert (again in shown) == (adapter == "replay")
    assert ("rougeL_extracted" in results.matrices["chosen"]) == (strategy == "rewrite")
    if strategy in ("fixed", "rewrite"):
        assert all(chosen.index == 0 for chosen in results.chosen.values())
