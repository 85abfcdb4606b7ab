"""Losses relative to another candidate: paired intervals of a ratio."""

import numpy as np
import pytest
from scipy import stats

from sapo_lite.prompts.intervals import relative_loss
from sapo_lite.prompts.losses import CandidateLoss


def losses(index: int, nats: list[float], tokens: list[int], **more: object) -> CandidateLoss:
    return CandidateLoss(index, tuple(nats), tuple(tokens), tuple(range(len(nats))), 6, **more)  # type: ignore[arg-type]


def test_with_equal_answers_it_is_the_paired_t_interval() -> None:
    ours, theirs = [1.0, 2.0, 3.5, 4.0], [0.5, 1.0, 1.0, 1.5]
    found = relative_loss(losses(0, ours, [2] * 4), losses(1, theirs, [2] * 4))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(np.subtract(ours, theirs)) / 2)
    assert (found.low, found.high) == pytest.approx((expected.low / 2, expected.high / 2))


def test_it_holds_the_true_difference_of_a_ratio_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        tokens = rng.integers(1, 9, 40)
        theirs = rng.exponential(1.0, 40) * tokens
        ours = theirs + tokens * 0.3 + rng.normal(0, 1, 40)
        found = relative_loss(losses(0, list(ours), list(tokens)), losses(1, list(theirs), list(tokens)))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.3 <= found.high
    assert 0.92 < held / 400 < 0.98


def test_after_a_race_only_common_examples_count() -> None:
    dropped, winner = losses(0, [1.0, 2.0], [1, 1]), losses(1, [0.0, 0.5, 9.0], [1, 1, 1])
    assert relative_loss(dropped, winner).examples == 2
    assert relative_loss(dropped, winner).mean == pytest.approx(1.25)


def test_a_single_example_has_no_interval() -> None:
    found = relative_loss(losses(0, [1.0], [2]), losses(1, [0.0], [2]))
    assert (found.mean, found.low, found.high) == (0.5, None, None)


def test_weights_count() -> None:
    ours, theirs = (
        losses(0, [1.0, 4.0], [1, 1], weights=(1.5, 0.5)),
        losses(1, [0.0, 0.0], [1, 1], weights=(1.5, 0.5)),
    )
    assert relative_loss(ours, theirs).mean == pytest.approx(1.75)
