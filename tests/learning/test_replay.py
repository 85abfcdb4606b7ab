"""Replay: how many rows of which earlier task, drawn by the seed, as they were trained on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.adapters.replay import distances, divided, replay
from sapo_lite.learning.methods import METHODS, replayed
from sapo_lite.learning.rows import RowBatcher
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.loss import answer_nll
from sapo_lite.prompts.schedules import RandomSchedule
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import FAMILIES, adapter_config, fill_blocks, make_task, plain_model

MAKE = Callable[..., Backbone]
INSTRUCTIONS = (
    "Decide whether the sentiment of the text is positive or negative.",
    "Say whether the sentiment of a text is positive or negative.",
    "请判断下面这段文本的情感是积极还是消极。",
    "",
)
pytestmark = pytest.mark.usefixtures("quick_collections")


def part(number: int, rows: int, instruction: str = INSTRUCTIONS[0]) -> TrainingSet:
    task = replace(make_task(rows, seed=number), id=f"task{number}_of_many", instruction=instruction)
    return TrainingSet(task, [TrainingRow(instruction, e.input, e.answer) for e in task.train])


NEW = part(9, 30)


def attach(backbone: Backbone) -> BlockAdapter:
    return METHODS["replay"].build(backbone, adapter_config(), tasks=4, checkpointing=False)


def sizes(parts: Sequence[TrainingSet]) -> dict[str, int]:
    return {part.task.key: len(part.rows) for part in parts}


# --- how many


@pytest.mark.parametrize(
    ("total", "weights", "limits", "expected"),
    [
        (10, (1, 1, 1), (99, 99, 99), [4, 3, 3]),
        (10, (0.2, 0.3, 0.5), (99, 99, 99), [2, 3, 5]),
        (7, (0.2, 0.3, 0.5), (99, 99, 99), [1, 2, 4]),  # 1.4, 2.1, 3.5
        (10, (0.0, 1.0), (99, 99), [0, 10]),
        (10, (0.0, 0.0), (99, 99), [5, 5]),
        (10, (1, 1, 8), (99, 99, 4), [3, 3, 4]),
        (10, (0.0, 1.0), (99, 4), [6, 4]),
        (10, (1, 1), (2, 3), [2, 3]),
        (1, (0.1, 0.2), (9, 9), [0, 1]),
        (5, (1,), (9,), [5]),
    ],
)
def test_rows_are_divided_by_weight_with_largest_remainders_and_within_limits(
    total: int, weights: Sequence[float], limits: Sequence[int], expected: list[int]
) -> None:
    assert divided(total, weights, limits) == expected


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 200)), min_size=1, max_size=8),
)
def test_a_division_adds_up_exactly_and_is_off_by_less_than_one(
    total: int, tasks: list[tuple[float, int]]
) -> None:
    weights, limits = zip(*tasks, strict=True)
    found = divided(total, weights, limits)
    assert sum(found) == min(total, sum(limits))
    assert all(0 <= size <= limit for size, limit in zip(found, limits, strict=True))
    whole = sum(map(Fraction, weights))
    quotas = [total * Fraction(weight) / whole if whole else Fraction(0) for weight in weights]
    if whole and all(quota <= limit for quota, limit in zip(quotas, limits, strict=True)):
        assert all(abs(size - quota) < 1 + 1e-9 for size, quota in zip(found, quotas, strict=True))


@pytest.mark.parametrize(
    ("share", "past", "new", "expected"),
    [(0.1, 1000, 160, 16), (0.1, 1000, 34, 3), (0.1, 1000, 2, 1), (0.5, 7, 100, 7), (2.0, 1000, 100, 200)],
)
def test_the_number_of_rows_is_a_share_of_the_new_ones_at_least_one_at_most_all(
    share: float, past: int, new: int, expected: int
) -> None:
    assert replayed(adapter_config(replay_share=share), [past - 2, 2], new) == expected


@pytest.mark.parametrize(("past", "expected"), [([1000], 200), ([1000] * 4, 800), ([1000, 30, 200], 430)])
def test_a_number_of_rows_is_that_of_each_earlier_task_or_all_it_has(past: list[int], expected: int) -> None:
    assert replayed(adapter_config(replay_rows=200, replay_share=0.5), past, 1000) == expected


@given(st.integers(1, 50), st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_divided_equally_each_task_gives_its_number_of_rows(rows: int, limits: list[int]) -> None:
    total = replayed(adapter_config(replay_rows=rows), limits, 10)
    assert divided(total, [1.0] * len(limits), limits) == [min(rows, limit) for limit in limits]


# --- of which task


@pytest.fixture(scope="module")
def backbone(make_backbone: MAKE) -> Backbone:
    backbone = make_backbone("qwen3")
    attach(backbone)
    return backbone


def test_tasks_whose_instruction_is_farther_from_the_new_one_are_replayed_more(backbone: Backbone) -> None:
    past = [part(n, 200, text) for n, text in enumerate(INSTRUCTIONS[:3])]
    same, near, far = distances(backbone, past, [NEW])
    assert same == 0
    assert far > 1.2 * near > 0
    config = adapter_config(replay_share=5.0)  # 150 rows
    found = sizes(replay(backbone, config, past, [NEW], seed=0))
    assert found == {"task1": round(150 * near / (near + far)), "task2": round(150 * far / (near + far))}
    assert found["task2"] > found["task1"]


def test_uniform_replay_takes_as_many_of_each(backbone: Backbone) -> None:
    past = [part(n, 20, text) for n, text in enumerate(INSTRUCTIONS)]
    config = adapter_config(replay_share=1.0, replay_by="uniform")
    found = sizes(replay(backbone, config, past, [NEW], seed=0))
    assert found == {"task0": 8, "task1": 8, "task2": 7, "task3": 7}


def test_rows_of_each_task_are_drawn_uniformly_or_divided_by_distance(backbone: Backbone) -> None:
    past = [part(n, 40, text) for n, text in enumerate(INSTRUCTIONS[:3])]
    uniform = adapter_config(replay_rows=7, replay_by="uniform")
    assert sizes(replay(backbone, uniform, past, [NEW], seed=0)) == {"task0": 7, "task1": 7, "task2": 7}
    _, near, far = distances(backbone, past, [NEW])
    found = sizes(replay(backbone, adapter_config(replay_rows=7), past, [NEW], seed=0))
    assert found == {"task1": round(21 * near / (near + far)), "task2": round(21 * far / (near + far))}


def test_a_task_whose_rows_have_many_instructions_is_embedded_by_its_original_one(backbone: Backbone) -> None:
    plain = part(1, 4, INSTRUCTIONS[2])
    mixed = replace(
        plain,
        rows=[replace(row, instruction=text) for row, text in zip(plain.rows, INSTRUCTIONS, strict=True)],
    )
    assert distances(backbone, [mixed], [NEW]) == distances(backbone, [plain], [NEW])
    assert distances(backbone, [plain], [mixed]) == [0]


def test_tasks_of_the_same_instruction_are_replayed_alike(backbone: Backbone) -> None:
    past = [part(n, 20) for n in range(3)]
    assert sizes(replay(backbone, adapter_config(), past, [NEW], seed=0)) == {
        "task0": 1,
        "task1": 1,
        "task2": 1,
    }


def test_what_a_small_task_has_not_comes_from_the_others(backbone: Backbone) -> None:
    past = [part(0, 3, INSTRUCTIONS[1]), part(1, 40, INSTRUCTIONS[2])]
    found = sizes(replay(backbone, adapter_config(replay_share=1.0), past, [NEW], seed=0))
    assert found == {"task0": 3, "task1": 27}


def test_the_first_task_replays_nothing(backbone: Backbone) -> None:
    assert replay(backbone, adapter_config(), [], [NEW], seed=0) == []


# --- embeddings


def own_states(backbone: Backbone, model: torch.nn.Module, instruction: str, own: slice) -> Tensor:
    ids = backbone.chat.encode_turn(instruction)
    with torch.no_grad():
        states = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, own]
    return F.normalize(states.double().mean(0), dim=0)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_distances_are_cosines_of_mean_states_of_the_instructions_without_lora(
    make_backbone: MAKE, family: str, quantization: str
) -> None:
    backbone = make_backbone(family, quantization)
    fill_blocks(attach(backbone), 1)
    tokenizer, plain = backbone.tokenizer, plain_model(backbone)
    turn = backbone.chat.encode_turn("")
    vectors = []
    for text in INSTRUCTIONS:
        own = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = backbone.chat.encode_turn(text)
        before = next(n for n in range(len(ids)) if ids[n : n + len(own)] == own)
        assert len(ids) == len(own) + len(turn)  # nothing merges with the template here
        tokens = slice(before, before + len(own)) if own else slice(None)
        vectors.append(own_states(backbone, plain, text, tokens))
    expected = [1 - float(vectors[0] @ other) for other in vectors]
    past = [part(n, 2, text) for n, text in enumerate(INSTRUCTIONS)]
    found = distances(backbone, past, [NEW])
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert min(found[1:]) > 0.01


def test_afterwards_lora_acts_and_learns_as_before(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    adapter = attach(backbone)
    encoded = backbone.chat.encode(NEW.task, NEW.rows[:4])
    bare = answer_nll(backbone, encoded)
    fill_blocks(adapter, 1)
    before = answer_nll(backbone, encoded)
    distances(backbone, [part(0, 2, INSTRUCTIONS[1])], [NEW])
    assert answer_nll(backbone, encoded) == before != bare
    assert all(weight.requires_grad for pair in adapter.pairs for weight in pair)


# --- which rows


def test_rows_are_drawn_by_the_seed_and_none_twice(backbone: Backbone) -> None:
    past = [part(n, 50, text) for n, text in enumerate(INSTRUCTIONS)]
    config = adapter_config(replay_share=3.0)

    def drawn(seed: int) -> list[TrainingSet]:
        return replay(backbone, config, past, [NEW], seed)

    assert drawn(1) == drawn(1)
    for one, other in zip(drawn(1), drawn(2), strict=True):
        assert one.task is other.task
        assert len(one.rows) == len(other.rows)
        assert set(one.rows) != set(other.rows)
    by_task = {old.task.id: old for old in past}
    for found in drawn(1):
        assert len(set(found.rows)) == len(found.rows)
        assert set(found.rows) <= set(by_task[found.task.id].rows)
        assert {row.instruction for row in found.rows} == {by_task[found.task.id].task.instruction}


def test_rows_of_changing_instructions_keep_their_own_schedule(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step, replayed and new rows each have the instruction that their own task's schedule gives."""
    old, new = (
        RandomSchedule(("Old one.", "Old two."), 1, "old"),
        RandomSchedule(("New one.", "New two."), 2, "new"),
    )
    past = [replace(part(0, 20, INSTRUCTIONS[1]), schedule=old)]
    fresh = replace(NEW, schedule=new)
    [again] = replay(backbone, adapter_config(), past, [fresh], seed=0)
    assert again.schedule is old
    rows = RowBatcher(backbone, [fresh, again], pack=True)
    last = len(rows.encoded) - 1
    seen = set()
    for step in range(5):
        rows.begin(step, 0, [0, 1, last])
        worded = [replace(NEW.rows[0], instruction=new.at(step))]
        worded += [replace(NEW.rows[1], instruction=new.at(step))]
        encoded = backbone.chat.encode(NEW.task, worded)
        encoded += backbone.chat.encode(again.task, [replace(again.rows[-1], instruction=old.at(step))])
        expected = sum(answer_nll(backbone, encoded)[0])
        assert rows.nll([0, 1, last]).item() == pytest.approx(expected, rel=1e-4)
        seen.add((old.at(step), new.at(step)))
    assert len(seen) == 4
