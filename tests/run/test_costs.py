"""What a run will cost: lengths, memory by phase, times, what to change."""

import re
from dataclasses import replace

import pytest

from sapo_lite.errors import BackboneError, RecipeError
from sapo_lite.learning.methods import METHODS
from sapo_lite.model.footprint import BEST_TOKENS, rows_of_a_pass
from sapo_lite.model.tokenizer import load_chat_format
from sapo_lite.recipe import Recipe, load_recipe, recipe_text, shipped_recipes
from sapo_lite.run.costs.cards import CARDS, _most_like, find_card
from sapo_lite.run.costs.lengths import TaskLengths, lengths_of, percentiles
from sapo_lite.run.costs.machine import planned_machine
from sapo_lite.run.costs.memory import ANSWERS, SCORING, TRAINING, blocks_of
from sapo_lite.run.costs.predict import LONGEST, Costs, costs_of
from sapo_lite.run.costs.times import Rates, Tokens, stage_costs
from sapo_lite.run.tasks import load_run_tasks
from sapo_lite.run.workplan import plan_of
from sapo_lite.types import Task, TrainingRow
from small import ROOT
from tiny import make_task

SMALL = ["sequence.tasks=['stars','mood']", "sequence.train_examples=24", "sequence.test_examples=10"]
_PREDICTED = re.compile(r"predicted, not measured: (\d+\.\d) GB .*\(sapo-lite plan \S+ --(card|vram) (.+)\)")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of the hub are planned by their published shapes, whatever there is in a cache."""
    monkeypatch.setenv("SAPO_LITE_OFFLINE", "1")


def predicted(recipe: Recipe, *, tasks: list[Task] | None = None, **machine: object) -> Costs:
    asked = {"card": None, "vram": None, **machine}
    return costs_of(recipe, tasks, planned_machine(**asked), lambda notice: None)  # type: ignore[arg-type]


# --- shipped recipes


HEADERS = {
    path.stem: found for path in shipped_recipes() if (found := _PREDICTED.search(recipe_text(path.stem)))
}


def test_recipes_for_cards_say_what_was_predicted() -> None:
    assert len(HEADERS) == 13


@pytest.mark.parametrize("name", list(HEADERS))
def test_the_memory_in_a_recipes_header_is_what_plan_predicts(name: str) -> None:
    peak, kind, where = HEADERS[name].groups()
    machine = {"card": where.strip('"')} if kind == "card" else {"vram": float(where)}
    found = predicted(load_recipe(name), **machine)
    assert f"{found.peak / 1e9:.1f}" == peak
    assert found.fits
    # Nothing has to be made smaller than in any memory.
    most = load_recipe(name).training.micro_batch_size
    longest = found.lengths["training rows"][LONGEST]
    assert found.memory[LONGEST].micro_batch == rows_of_a_pass(BEST_TOKENS["cuda"], longest, most)
    assert found.memory[LONGEST].batch == load_recipe(name).evaluation.batch_size


def test_the_documents_table_has_the_numbers_of_the_headers() -> None:
    page = (ROOT / "docs/gpus.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) GB \| (\d+\.\d) \|", page, re.MULTILINE)
    assert {name: peak for name, _, peak in rows} == {name: found[1] for name, found in HEADERS.items()}
    assert all(float(peak) < float(room) for _, room, peak in rows)


# --- memory


def test_phases_have_the_same_weights_and_their_own_parts() -> None:
    found = predicted(load_recipe("ni_seq_c1"), vram=24).memory[LONGEST]
    for part in ("program", "weights of the layers", "embedding and head", "adapter"):
        assert len({found.phases[phase][part] for phase in (TRAINING, SCORING, ANSWERS)}) == 1
    assert {"gradients and copies", "optimiser"} <= found.phases[TRAINING].keys()
    assert "cache" in found.phases[ANSWERS]
    assert found.peak == max(found.total(phase) for phase in found.phases)


def test_in_less_memory_a_run_takes_smaller_micro_batches_until_it_does_not_fit() -> None:
    by_room = {room: predicted(load_recipe("ni_seq_c1"), vram=room) for room in (8, 10, 12, 16, 24)}
    rows = [found.memory[LONGEST].micro_batch for found in by_room.values()]
    assert rows == sorted(rows)
    assert rows[-1] == 4  # of the longest rows, in a pass of 8,192 tokens
    assert [found.fits for found in by_room.values()] == [False, True, True, True, True]


def test_settings_that_make_a_run_fit_are_named_in_the_order_of_the_documents() -> None:
    big = ["model.quantization=none", "training.gradient_checkpointing=false"]
    found = predicted(load_recipe("ni_seq_c1", big), vram=12)
    assert not found.fits
    assert found.would
    assert found.changes[:2] == ["training.gradient_checkpointing=true", 'model.quantization="nf4"']
    again = predicted(load_recipe("ni_seq_c1", [*big, *found.changes]), vram=12)
    assert again.fits
    assert again.changes == []


def test_where_no_setting_helps_it_is_said() -> None:
    found = predicted(load_recipe("ni_seq_c1"), vram=4)
    assert (found.fits, found.would) == (False, False)


@pytest.mark.parametrize("method", list(METHODS))
def test_the_blocks_of_a_method_are_those_that_it_builds(method: str, make_backbone: object) -> None:
    recipe = load_recipe("lab", [f"adapter.method={method}"])
    backbone = make_backbone("qwen3")  # type: ignore[operator]
    built = METHODS[method].build(backbone, recipe.adapter, tasks=3, checkpointing=False)
    assert blocks_of(recipe, 3) == built.blocks


def test_a_card_without_bfloat16_computes_in_float32() -> None:
    recipe = load_recipe("ni_seq_c1_small_6gb")
    assert predicted(recipe, card="RTX 2060").dtype == "float32"
    assert predicted(recipe, card="RTX 3060").dtype == "bfloat16"


# --- lengths


def test_lengths_are_those_of_the_rows_that_a_run_encodes() -> None:
    recipe = load_recipe("lab", SMALL)
    chat = load_chat_format(recipe.model)
    for task in load_run_tasks(recipe.sequence, None):
        found = lengths_of(task, recipe.model, chat)
        rows = chat.encode(task, [TrainingRow(task.instruction, e.input, e.answer) for e in task.train])
        assert found.rows == tuple(sorted(len(row.ids) for row in rows))
        assert found.row == pytest.approx(sum(found.rows) / len(found.rows))
        assert len(found.prompts) == len(task.test)


def test_long_rows_are_cut_as_a_run_cuts_them() -> None:
    recipe = load_recipe("lab", ["model.max_source_tokens=30", "model.max_answer_tokens=4"])
    task = make_task(12)
    found = lengths_of(task, recipe.model, load_chat_format(recipe.model))
    whole = lengths_of(task, load_recipe("lab").model, load_chat_format(recipe.model))
    assert max(found.prompts) == 30 < max(whole.prompts)


def test_the_longest_row_is_found_wherever_it_is() -> None:
    recipe, task = load_recipe("lab"), make_task(400)
    far = replace(task.train[0], input="film " * 120)
    task = replace(task, train=(*task.train, far))
    found = lengths_of(task, recipe.model, load_chat_format(recipe.model))
    assert len(found.rows) == 320
    assert found.rows[-1] > found.rows[-2] + 10


def test_without_a_tokenizer_lengths_follow_from_the_characters() -> None:
    recipe = load_recipe("lab")
    english, chinese = (replace(make_task(4), instruction=text) for text in ("word " * 40, "判断" * 40))
    shorter, longer = (lengths_of(task, recipe.model, None) for task in (english, chinese))
    assert shorter.prefix == 50
    assert longer.prefix == 80


def test_percentiles_are_lengths_that_occur() -> None:
    assert percentiles([*range(1, 101)]) == {50: 50, 95: 95, 100: 100}
    assert percentiles([7]) == {50: 7, 95: 7, 100: 7}
    assert percentiles([]) == {50: 0, 95: 0, 100: 0}


# --- time, disk


def test_tokens_by_stage_are_the_counts_of_the_plan_times_lengths() -> None:
    recipe = load_recipe("lab", [*SMALL, "training.epochs=2", "prompt.strategy=fixed"])
    tasks = load_run_tasks(recipe.sequence, None)
    lengths = {task.key: TaskLengths((), (), row=40, prompt=30, answer=3, prefix=10) for task in tasks}
    plan = plan_of(recipe, tasks)
    found = stage_costs(recipe, plan, lengths, batch=5, rates=Rates(scored=100, trained=10, step=0.5))
    assert [own.stage for own in found] == [0, 1, 2]
    for own in found:
        work = plan.of_stage(own.stage)
        packed = 30 + 10 / recipe.training.micro_batch_size  # the prefix of a pack is shared
        answers = work.answers.most
        assert own.tokens == Tokens(0, pytest.approx(work.rows * packed), answers * 30, answers * 4)
        seconds = answers * 30 / 100 + own.tokens.trained / 10 + answers * 4 / 5 * 0.5
        assert own.seconds == pytest.approx(seconds)
    assert found[1].tokens.trained == pytest.approx(2 * 24 * (30 + 10 / 8))


def test_a_faster_card_takes_less_time() -> None:
    recipe = load_recipe("lab", [*SMALL, "model.name=Qwen/Qwen3-0.6B"])
    tasks = load_run_tasks(recipe.sequence, None)
    slow, fast = (predicted(recipe, tasks=tasks, card=card) for card in ("RTX 3060", "RTX 4090"))
    assert slow.seconds is not None
    assert fast.seconds is not None
    assert fast.seconds < slow.seconds
    assert slow.estimated


def test_a_card_of_which_only_the_memory_is_known_has_no_times() -> None:
    recipe = load_recipe("lab", SMALL)
    assert predicted(recipe, tasks=load_run_tasks(recipe.sequence, None), vram=8).seconds is None


def test_a_model_that_is_here_need_not_be_downloaded() -> None:
    assert predicted(load_recipe("lab")).download == 0
    assert predicted(load_recipe("ni_seq_c1_12gb"), vram=12).download / 1e9 == pytest.approx(6.07, abs=0.05)


def test_a_model_that_nobody_knows_is_refused_offline() -> None:
    recipe = load_recipe("lab", ["model.name=somebody/unknown"])
    with pytest.raises(BackboneError, match="somebody/unknown is not on this disk"):
        predicted(recipe, vram=8)


# --- cards


@pytest.mark.parametrize("name", ["RTX 4060", "rtx-4060", "NVIDIA GeForce RTX 4060", "4060"])
def test_a_card_is_found_by_its_name(name: str) -> None:
    assert find_card(name) is CARDS["RTX 4060"]


def test_a_card_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError) as refused:
        find_card("RTX 4061")
    assert 'found "RTX 4061"; did you mean RTX 4060' in str(refused.value)
    assert str(refused.value).endswith("planned by its memory, without times: --vram GIGABYTES.")


@pytest.mark.parametrize(
    ("driver", "memory", "card"),
    [
        ("NVIDIA GeForce RTX 4060 Ti", 16.7, "RTX 4060 Ti 16GB"),
        ("NVIDIA GeForce RTX 4060 Ti", 8.2, "RTX 4060 Ti"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 6.2, "RTX 3060"),
        ("NVIDIA A100-SXM4-80GB", 85.1, "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", 85.0, "H100"),
        ("Tesla T4", 15.6, "T4"),
        ("NVIDIA Quadro P400", 2.0, None),
    ],
)
def test_a_machines_card_is_found_by_what_its_driver_says(
    driver: str, memory: float, card: str | None
) -> None:
    found = _most_like(driver, memory)
    assert (found and found.name) == card


def test_the_room_on_a_card_is_what_may_be_used_of_it() -> None:
    assert planned_machine("RTX 3060", None).room == 12 * 10**9
    assert planned_machine("RTX 3060", 8).room == 8 * 10**9
    assert planned_machine("RTX 3060", 24).room == 12 * 10**9
    assert not planned_machine("RTX 3060", None).here
