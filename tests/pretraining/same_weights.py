"""Pretraining to the same weights, bit by bit; test_pretraining.py runs this in a process of its own."""

from pathlib import Path

from test_pretraining import PLAN, QUIET, TINY, same, trained, weights

from pretraining.pretrain import pretrain
from pretraining.pretrainer import Plan, Pretraining

__all__ = ["trained"]


def test_a_model_of_the_same_plan_is_the_same(trained: Pretraining, tmp_path: Path) -> None:
    assert same(weights(pretrain(PLAN, tmp_path, QUIET, **TINY)), weights(trained))
    assert not same(weights(Pretraining(PLAN, **TINY)), weights(trained))


def test_a_stopped_run_goes_on_to_the_same_weights(trained: Pretraining, tmp_path: Path) -> None:
    first = Pretraining(PLAN, **TINY)
    for _ in range(4):
        first.advance()
    first.save(tmp_path / "checkpoint.pt")
    second = pretrain(PLAN, tmp_path, QUIET, **TINY)
    assert same(weights(second), weights(trained))
    assert second.curriculum.losses == trained.curriculum.losses
    assert second.tokens == trained.tokens


def test_a_checkpoint_from_before_the_rate_fell_goes_on_to_more_steps(tmp_path: Path) -> None:
    longer = Plan("qwen3", steps=15, seed=3, wordings=4)
    for steps, reached in ((13, 2), (15, 15)):
        first = Pretraining(Plan("qwen3", steps=steps, seed=3, wordings=4), **TINY)
        for _ in range(reached):
            first.advance()
        first.save(tmp_path / f"{steps}.pt")
    (tmp_path / "13.pt").rename(tmp_path / "checkpoint.pt")
    assert same(weights(pretrain(longer, tmp_path, QUIET, **TINY)), weights(first))
