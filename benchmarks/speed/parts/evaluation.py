"""Testing: greedy answers of `model.generate` in padded batches, of lm-eval and of sapo-lite."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks.speed.bench import Bench
from benchmarks.speed.line import Line, Measured, alternately, sheet
from benchmarks.speed.parts import harness
from benchmarks.speed.scoring.clock import timed
from benchmarks.speed.sheet import Found
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.decoding import check_generation
from sapo_lite.model.generation import generate
from sapo_lite.model.generation_inputs import left_padded, stop_tokens
from sapo_lite.types import Task

GOAL = 2.0
OURS, GENERATE, HARNESS = "sapo-lite", "model.generate", "lm-eval, generate_until"
# Share of answers that may differ: bfloat16 rounds in other places in batches of other shapes.
SAME_ANSWERS = {"float32": 0.0, "bfloat16": 0.5}


def measure(bench: Bench) -> Found:
    # Peers end an answer where sapo-lite does.
    bench.backbone.causal_lm.generation_config.eos_token_id = sorted(stop_tokens(bench.backbone))
    lines = [line for task in bench.tasks for line in _lines(bench, task)]
    return Found(
        [sheet("Testing: greedy answers, of peers and of sapo-lite", lines, bench.clock)],
        [line.to_json(bench.clock) for line in lines],
        [line.fault for line in lines if line.fault],
        [] if harness.installed() else [harness.ABSENT],
    )


def _lines(bench: Bench, task: Task) -> list[Line]:
    backbone, sizes = bench.backbone, bench.sizes
    texts = [example.input for example in task.test[: sizes.prompts]]
    prompts = backbone.chat.encode_prompts(task, task.instruction, texts)
    check_generation(backbone, prompts)
    ours = partial(
        generate, backbone, prompts, max_new_tokens=sizes.new_tokens, batch_size=sizes.answer_batch
    )
    ways: dict[str, Callable[[int], Measured[list[str]]]] = {
        OURS: lambda _: timed(ours),
        GENERATE: lambda _: _by_peer(bench, lambda: _generated(bench, prompts)),
    }
    if harness.installed():
        peer = harness.Harness(backbone, sizes.answer_batch)
        written = [backbone.chat.prompt(task, task.instruction, text) for text in texts]
        ways[HARNESS] = lambda _: _by_peer(bench, lambda: peer.answers(written, sizes.new_tokens))
    found = alternately(ways, sizes.rounds)
    return [
        Line(
            task=task.name,
            work=f"{len(prompts)} prompts, {sizes.answer_batch} a batch, {sizes.new_tokens} tokens at most",
            peer=peer_name,
            theirs=tuple(seconds for _, seconds in found[peer_name]),
            ours=tuple(seconds for _, seconds in found[OURS]),
            difference=_difference(found[peer_name][0][0], found[OURS][0][0]),
            tolerance=SAME_ANSWERS[backbone.config.dtype],
            unit="answers",
            goal=GOAL,
        )
        for peer_name in ways
        if peer_name != OURS
    ]


def _by_peer(bench: Bench, work: Callable[[], list[str]]) -> Measured[list[str]]:
    with bench.for_peers():
        return timed(work)


def _generated(bench: Bench, prompts: Sequence[Sequence[int]]) -> list[str]:
    """Answers of transformers' own generation, in batches in the order of the prompts."""
    backbone: Backbone = bench.backbone
    answers: list[str] = []
    size = bench.sizes.answer_batch
    with backbone.inference(), backbone.autocast():
        for start in range(0, len(prompts), size):
            ids, mask = left_padded(backbone, prompts[start : start + size])
            found: torch.Tensor = backbone.causal_lm.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=bench.sizes.new_tokens,
                pad_token_id=backbone.tokenizer.pad_token_id,
            )
            answers += [backbone.chat.decode(row[ids.shape[1] :].tolist()) for row in found]
    return answers


def _difference(theirs: Sequence[str], ours: Sequence[str]) -> float:
    """Share of the answers that are not equal."""
    return sum(one != other for one, other in zip(theirs, ours, strict=True)) / len(ours)
