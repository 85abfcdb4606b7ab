"""Out of memory: work continues in smaller batches with equal results, or stops with one sentence.

Allocations fail for real here: torch is asked for more than any address space holds, or (in a process
of its own, this file run as a program) the address space is limited.
"""

import ctypes
import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from sapo_lite.errors import BackboneError, TrainingError
from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.learning.methods import METHODS
from sapo_lite.learning.steps import Step
from sapo_lite.learning.trainer import train
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import AnswerBatch, batches, in_batches, shared_prefix
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.footprint import BEST_TOKENS
from sapo_lite.model.generation import generate, sample
from sapo_lite.model.loss import answer_nll
from sapo_lite.model.memory import (
    cap_memory,
    fits_in_memory,
    token_budget,
    usable_bytes,
)
from sapo_lite.model.notices import noticed
from sapo_lite.recipe import TrainingConfig
from sapo_lite.types import TrainingRow, TrainingSet
from tiny import adapter_config, fill_blocks, load, make_task, plain_nll, qwen3_tokenizer

MAKE = Callable[..., Backbone]
ROOT = Path(__file__).parents[2]
TASK = make_task(12)
ROWS = [TrainingRow(TASK.instruction, e.input, e.answer) for e in TASK.train]


def too_much() -> Tensor:
    return torch.empty(2**60, dtype=torch.uint8)


def fail_beyond(backbone: Backbone, tokens: int, *, backward: bool = False) -> list[tuple[int, bool]]:
    """From now on memory runs out in the last layer where a pass is fed more than so many tokens, or
    backward: in the first layer, when the last has its gradients already. Records (tokens fed, whether
    they fit) of every pass that gets so far."""
    passes: list[tuple[int, bool]] = []
    layer = backbone.decoder.layers[0 if backward else -1]

    def forward_hook(_: Any, __: Any, output: Tensor) -> None:
        passes.append((output.shape[0] * output.shape[1], output.shape[0] * output.shape[1] <= tokens))
        if not passes[-1][1]:
            too_much()

    def on_gradient(gradient: Tensor) -> None:
        forward_hook(None, None, gradient)

    def backward_hook(_: Any, __: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(on_gradient)

    layer.register_forward_hook(backward_hook if backward else forward_hook)
    return passes


# --- what counts as having run out


def test_a_failed_allocation_is_recognised() -> None:
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator: can't allocate memory") as failed:
        too_much()
    assert should_reduce_batch_size(failed.value)
    assert not fits_in_memory(too_much)
    assert fits_in_memory(lambda: torch.empty(1))


def test_a_failed_allocation_on_a_card_is_recognised() -> None:
    """In the words of torch's CUDA allocator."""
    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.79 GiB of which "
        "10.00 MiB is free."
    )

    def fake_forward() -> None:
        raise error

    assert not fits_in_memory(fake_forward)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried to "
        "allocate 8589934592 bytes.",  # Windows
    ],
)
def test_the_words_of_cublas_the_driver_and_windows_for_no_memory_are_recognised(
    message: str,
) -> None:
    def fake_forward() -> None:
        raise RuntimeError(message)

    assert not fits_in_memory(fake_forward)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("x"), KeyboardInterrupt()])
def test_other_errors_pass_through(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        fits_in_memory(fail)


def test_what_the_failed_pass_held_is_free_again() -> None:
    held: list[weakref.ref[Tensor]] = []

    def work() -> None:
        large = torch.ones(8)
        held.append(weakref.ref(large))
        too_much()

    gc.disable()  # a cycle would keep it until the next collection
    try:
        assert not fits_in_memory(work)
        assert held[0]() is None
    finally:
        gc.enable()


def test_a_shortage_is_noticed_once() -> None:
    lines: list[str] = []
    with noticed(lines.append):
        assert lines == []
        assert not fits_in_memory(too_much)
        assert not fits_in_memory(too_much)
    assert not fits_in_memory(too_much)  # nobody asks any more
    assert lines == [
        "memory ran out: from here on, work is done in smaller batches where needed; results are those of "
        "larger ones but for rounding and the masks of dropout, and training.batch_size stays"
    ]
    with noticed(lines.append):  # the next run
        assert not fits_in_memory(too_much)
    assert len(lines) == 2


# --- generation


@pytest.mark.parametrize("decoding", ["prefix", "together"])
def test_answers_are_the_same_however_little_fits(make_backbone: MAKE, decoding: str) -> None:
    backbone = make_backbone("qwen3")
    backbone.decoding = decoding
    prompts = [row.ids[: row.answer_start] for row in encode(backbone)]
    sizes: list[int] = []
    answer = partial(generate, backbone, prompts, max_new_tokens=6, on_done=sizes.append)
    expected = answer(batch_size=8)
    assert sizes == [8, 4]
    passes = fail_beyond(backbone, 150)
    sizes.clear()
    assert answer(batch_size=8) == expected
    assert sum(sizes) == len(prompts)
    assert max(sizes) < 8
    failed = sum(not fits for _, fits in passes)
    assert 1 <= failed <= 3  # later batches are as small from the start
    assert answer(batch_size=8) == expected  # and those of later calls
    assert sum(not fits for _, fits in passes) == failed


def test_samples_are_the_same_however_little_fits(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    prompts = [row.ids[: row.answer_start] for row in encode(backbone)]
    draw = partial(sample, backbone, seeds=range(12), temperature=0.8, max_new_tokens=6)
    expected = draw(prompts)
    passes = fail_beyond(backbone, 150)
    assert draw(prompts) == expected
    assert sum(not fits for _, fits in passes) >= 1


def test_a_prompt_that_cannot_be_answered_alone_is_one_sentence(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    prompts = [row.ids[: row.answer_start] for row in encode(backbone)[:2]]
    longest = max(map(len, prompts))
    fail_beyond(backbone, 1)
    for answer in (
        partial(generate, backbone, prompts, batch_size=2),
        partial(sample, backbone, prompts, seeds=[0, 1], temperature=1.0),
    ):
        backbone.decoding = "together"
        with pytest.raises(BackboneError) as refused:
            answer(max_new_tokens=4)
        assert str(refused.value).startswith("Memory does not suffice for the answer to one prompt of ")
        assert any(f"{length} tokens. Lower" in str(refused.value) for length in (longest, len(prompts[0])))


# --- scoring


def encode(backbone: Backbone, rows: Sequence[TrainingRow] = ROWS) -> list[EncodedRow]:
    return backbone.chat.encode(TASK, rows)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("limit", [120, 200, 300])
def test_losses_are_the_same_however_little_fits(make_backbone: MAKE, limit: int, packs: bool) -> None:
    backbone = make_backbone("qwen3")
    backbone.packs = packs
    rows = encode(backbone)
    expected = [plain_nll(backbone.model, row) for row in rows]
    passes = fail_beyond(backbone, limit)
    found, tokens = answer_nll(backbone, rows)
    assert found == pytest.approx(expected, rel=1e-5)
    assert tokens == tuple(len(row.answer_ids) for row in rows)
    failed = sum(not fits for _, fits in passes)
    assert failed >= 1
    assert backbone.budget_share <= 0.5**failed
    # It is not tried again: what follows is as small from the start.
    assert answer_nll(backbone, rows)[0] == pytest.approx(expected, rel=1e-5)
    assert sum(not fits for _, fits in passes) == failed


def test_what_did_not_fit_comes_again_half_as_large(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    rows = encode(backbone)
    passes = fail_beyond(backbone, 200)
    answer_nll(backbone, rows, 10**6)
    failed = [tokens for tokens, fits in passes if not fits]
    assert all(following <= tokens / 2 for tokens, following in pairwise(failed))


def test_rows_that_fitted_are_not_computed_again(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    rows = encode(backbone)
    fail_beyond(backbone, 200)
    owners: list[int] = []
    in_batches(backbone, rows, lambda batch: use(backbone, batch, owners), tokens=400)
    assert sorted(owners) == list(range(len(rows)))
    assert backbone.budget_share < 1


def use(backbone: Backbone, batch: AnswerBatch, owners: list[int]) -> None:
    with backbone.inference():
        backbone.answer_states(batch.ids, batch.rows, batch.columns, batch.layout)
    owners += batch.owners.unique().tolist()


def test_a_row_that_does_not_fit_alone_is_one_sentence(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    rows = encode(backbone)
    longest = max(len(row.ids) for row in rows)
    passes = fail_beyond(backbone, longest - 2)
    with pytest.raises(BackboneError) as refused:
        answer_nll(backbone, rows)
    assert str(refused.value) == (
        f"Memory does not suffice for one row of {longest} tokens. Lower model.max_source_tokens, use a "
        "smaller model, or free memory that other programs hold."
    )
    assert passes[-1] == (longest - 1, False)
    assert not backbone.model.training
    assert torch.is_grad_enabled()


def test_another_error_is_not_taken_for_a_lack_of_memory(make_backbone: MAKE) -> None:
    backbone = make_backbone("qwen3")
    backbone.decoder.norm.weight = torch.nn.Parameter(torch.ones(7))
    with pytest.raises(RuntimeError, match="size of tensor"):
        answer_nll(backbone, encode(backbone))
    assert backbone.budget_share == 1.0


# --- the budget


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("tokens", [1, 90, 250, 10**9])
def test_a_batch_keeps_to_the_budget_or_is_one_row(
    make_backbone: MAKE, tokens: int, share: float, packs: bool
) -> None:
    backbone = make_backbone("qwen3")
    backbone.packs, backbone.budget_share = packs, share
    rows = encode(backbone)
    made = list(batches(backbone, rows, tokens=tokens))
    assert sorted(i for batch in made for i in batch.owners.unique().tolist()) == list(range(len(rows)))
    for batch, following in zip(made, [*made[1:], None], strict=True):
        assert batch.ids.numel() <= share * tokens or len(batch.owners.unique()) == 1
        if following is not None:  # one row more would have been too many
            assert batch.ids.numel() + added(rows, batch, following, packs) > share * tokens


def added(rows: Sequence[EncodedRow], batch: AnswerBatch, following: AnswerBatch, packs: bool) -> int:
    """Tokens by which the batch would grow with the shortest row of the following one."""
    shortest = min(len(rows[i].ids) - 1 for i in following.owners.unique().tolist())
    if packs:
        return shortest - shared_prefix(rows)
    return (len(batch.owners.unique()) + 1) * shortest - batch.ids.numel()


@pytest.mark.parametrize("packs", [True, False])
def test_a_budget_that_is_just_enough_takes_all_rows(make_backbone: MAKE, packs: bool) -> None:
    backbone = make_backbone("qwen3")
    backbone.packs = packs
    rows = encode(backbone)
    (whole,) = batches(backbone, rows, tokens=10**9)
    assert len(list(batches(backbone, rows, tokens=whole.ids.numel()))) == 1
    assert len(list(batches(backbone, rows, tokens=whole.ids.numel() - 1))) == 2


GIB = 2**30


@pytest.mark.parametrize(
    ("free", "reserved", "allocated", "expected"),
    [
        (60 * GIB, 0, 0, BEST_TOKENS["cuda"]),
        # Tiny Qwen3 in float32: 4 x (2 x 64 + 3 x 128) + 8 x 64 = 2560 bytes a token.
        (2**20, 0, 0, 128),  # half of them would be 204
        # What torch holds and does not use is free too.
        (2**19, 3 * 2**19, 2**20, 128),
        (0, 0, 0, 1),
    ],
)
def test_the_budget_of_a_card_is_what_its_free_memory_has_room_for(
    make_backbone: MAKE,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    reserved: int,
    allocated: int,
    expected: int,
) -> None:
    backbone = make_backbone("qwen3")
    assert token_budget(backbone) == BEST_TOKENS["cpu"]
    fake_card(monkeypatch, backbone, free=free, reserved=reserved, allocated=allocated)
    assert token_budget(backbone) == expected


def fake_card(
    monkeypatch: pytest.MonkeyPatch,
    backbone: Backbone,
    *,
    free: int,
    reserved: int = 0,
    allocated: int = 0,
    fraction: float = 1.0,
) -> None:
    """From now on, torch answers as on a card of 80 GiB with so much memory."""
    for name, answer in (
        ("mem_get_info", (free, 80 * GIB)),
        ("memory_reserved", reserved),
        ("memory_allocated", allocated),
        ("get_per_process_memory_fraction", fraction),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)
    backbone.device = torch.device("cuda", 0)


def test_a_cap_counts_what_the_process_has_allocated(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    capped = (2**20 + 2**21) / (80 * GIB)
    fake_card(monkeypatch, backbone, free=60 * GIB, reserved=2**21, allocated=2**20, fraction=capped)
    assert usable_bytes(backbone.device) == pytest.approx(2**21, abs=1)
    assert token_budget(backbone) == 256


def test_a_cap_is_a_share_of_the_cards_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: SimpleNamespace(total_memory=8 * 10**9))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    cap_memory(6)
    assert shares == [0.75]
    with pytest.raises(BackboneError) as refused:
        cap_memory(12)
    assert str(refused.value) == (
        "--vram: expected at most 8.0, the memory of a card in gigabytes, found 12."
    )
    assert shares == [0.75]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_memory_of_no_gpu_cannot_be_capped() -> None:
    with pytest.raises(BackboneError) as refused:
        cap_memory(6)
    assert str(refused.value) == (
        "--vram: expected a CUDA GPU, whose memory it caps, found none. Leave it out."
    )


# --- training


@pytest.fixture
def train_one_step(
    make_backbone: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_collections: None
) -> Callable[..., tuple[Step, list[Tensor]]]:
    """One optimiser step on eight rows with two instructions. Returns the step and its gradients."""
    gradients: list[list[Tensor]] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        gradients.append([p.grad.clone() for p in self.param_groups[0]["params"]])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    rows = [
        TrainingRow(("判断情感", TASK.instruction)[n > 2], e.input, e.answer)
        for n, e in enumerate(TASK.train)
    ]

    def go(prepare: Callable[[Backbone], object], micro_batch_size: int, method: str = "olora") -> Any:
        backbone = make_backbone("qwen3")
        adapter = started(backbone, method)
        prepare(backbone)
        steps: list[Step] = []
        settings = TrainingConfig(
            epochs=1, batch_size=8, micro_batch_size=micro_batch_size, gradient_checkpointing=False
        )
        folder = tmp_path / "checkpoints"
        train(
            backbone,
            adapter,
            [TrainingSet(TASK, rows[:8])],
            settings,
            checkpoints=folder,
            seed=0,
            on_step=steps.append,
        )
        assert len(steps) == len(gradients) == 1
        return steps[0], gradients.pop()

    return go


def started(backbone: Backbone, method: str) -> BlockAdapter:
    """The second of two blocks is open, its B far from zero."""
    adapter = METHODS[method].build(backbone, adapter_config(), tasks=2, checkpointing=False)
    fill_blocks(adapter, 1)
    adapter.open_block(1, seed=1)
    for _, b in adapter.pairs:
        b.data[:, adapter.active] = 0.05
    return adapter


@pytest.mark.slow
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("micro_batch_size", [8, 4])
def test_a_step_in_halves_has_the_losses_and_gradients_of_the_whole(
    train_one_step: Callable[..., tuple[Step, list[Tensor]]], micro_batch_size: int, backward: bool
) -> None:
    whole, expected = train_one_step(lambda _: None, micro_batch_size)
    passes: list[tuple[int, bool]] = []

    def prepare(backbone: Backbone) -> None:
        nonlocal passes
        passes = fail_beyond(backbone, 130, backward=backward)

    step, found = train_one_step(prepare, micro_batch_size)
    assert 1 <= sum(not fits for _, fits in passes) < 8
    assert step.loss == pytest.approx(whole.loss, rel=1e-5)
    assert step.penalty == pytest.approx(whole.penalty, rel=1e-5)
    assert step.penalty > 0
    for one, other in zip(found, expected, strict=True):
        assert other.norm() > 1e-3
        assert (one - other).norm() <= 1e-5 * other.norm()


def test_a_row_that_cannot_be_trained_on_alone_is_one_sentence(
    train_one_step: Callable[..., tuple[Step, list[Tensor]]],
) -> None:
    with pytest.raises(TrainingError) as refused:
        train_one_step(lambda backbone: fail_beyond(backbone, 20), 8)
    message = str(refused.value)
    assert message.startswith("Memory does not suffice to train on row ")
    row = int(message.removeprefix("Memory does not suffice to train on row ").split()[0])
    assert 0 <= row < 8
    assert message.endswith(
        " (0-based). Set training.gradient_checkpointing = true, or lower model.max_source_tokens."
    )


# --- a limited address space

WIDE = 60_000  # of the MLP: four tensors of 240 kB a token
ROOM = 250 * 2**20


def save_wide_model(folder: Path) -> Path:
    tokenizer = qwen3_tokenizer()
    torch.manual_seed(7)
    config = Qwen3Config(
        vocab_size=512,
        hidden_size=16,
        intermediate_size=WIDE,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
        initializer_range=0.15,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process saw that scored and trained without a limit and then within one."""
    folder = save_wide_model(tmp_path_factory.mktemp("wide"))
    command = [sys.executable, __file__, str(folder)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "seen.json").read_text())


linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of the address space are Linux's"
)


@linux
@pytest.mark.slow
def test_within_a_limit_scores_are_those_without(limited: dict[str, Any]) -> None:
    assert limited["share without a limit"] == 1.0
    assert limited["share within the limit"] < 0.5
    assert limited["losses within the limit"] == pytest.approx(limited["losses without a limit"], rel=1e-5)


@linux
@pytest.mark.slow
def test_within_a_limit_training_takes_the_steps_it_takes_without(limited: dict[str, Any]) -> None:
    assert limited["halves without a limit"] == 0
    assert limited["halves within the limit"] > 0
    assert limited["steps within the limit"] == pytest.approx(limited["steps without a limit"], rel=1e-5)
    assert limited["adapter differs by"] < 1e-4


@linux
@pytest.mark.slow
def test_within_a_limit_a_row_that_is_too_long_is_one_sentence(limited: dict[str, Any]) -> None:
    assert limited["tokens"] > 400
    assert limited["too long"].startswith(
        f"Memory does not suffice for one row of {limited['tokens']} tokens."
    )
    assert limited["losses afterwards"] == pytest.approx(limited["losses without a limit"], rel=1e-5)


def main(folder: Path) -> None:
    """Score and train; once more with little more address space than is used by then."""
    from sapo_lite.learning import trainer as training

    seen: dict[str, Any] = {}
    backbone = load(folder)
    rows = encode(backbone)
    adapter = started(backbone, "lorainc")
    before = adapter.state()
    settings = TrainingConfig(
        epochs=1, learning_rate=1e-3, batch_size=6, micro_batch_size=6, gradient_checkpointing=False
    )
    taken: list[int] = []
    nll = training.RowBatcher.nll
    training.RowBatcher.nll = lambda self, n: (taken.append(len(n)), nll(self, n))[1]
    ends = []
    for limit in ("without a limit", "within the limit"):
        if limit == "within the limit":
            limit_address_space(ROOM)
        seen[f"losses {limit}"] = answer_nll(backbone, rows)[0]
        seen[f"share {limit}"] = backbone.budget_share
        adapter.restore_float32(before)
        taken.clear()
        steps: list[float] = []
        train(
            backbone,
            adapter,
            [TrainingSet(TASK, ROWS)],
            settings,
            checkpoints=folder / "checkpoints",
            seed=0,
            on_step=lambda step, steps=steps: steps.append(step.loss),
        )
        seen[f"steps {limit}"] = steps
        seen[f"halves {limit}"] = sum(count < 6 for count in taken)
        ends.append(torch.cat([p.flatten() for pair in adapter.state() for p in pair]))
        adapter.restore_float32(before)
    start = torch.cat([p.flatten() for pair in before for p in pair])
    seen["adapter differs by"] = ((ends[0] - ends[1]).norm() / (ends[0] - start).norm()).item()
    (long,) = encode(backbone, [TrainingRow(TASK.instruction, "film joy " * 100, "no")])
    seen["tokens"] = len(long.ids)
    try:
        answer_nll(backbone, [long])
    except BackboneError as error:
        seen["too long"] = str(error)
    seen["losses afterwards"] = answer_nll(backbone, rows)[0]
    (folder / "seen.json").write_text(json.dumps(seen))


def limit_address_space(room: int) -> None:
    """So many bytes more than are in use."""
    import resource

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
