"""SmolLM2-135M-Instruct, converted from its GGUF (Q4_1): a published model, in float32 and in 4 bits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sapo_lite.data.tasks import load_sequence
from sapo_lite.leaderboard.score_files import score_files
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import batches
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.generation import generate
from sapo_lite.model.gguf_names import gguf_path
from sapo_lite.model.loss import answer_nll
from sapo_lite.recipe import SequenceConfig
from sapo_lite.report.plain import plain_file
from sapo_lite.types import TrainingRow
from tiny import load, plain_nll

pytestmark = [pytest.mark.real_model, pytest.mark.slow]

_TOPICS = ("water", "the film", "a prime number", "Paris", "rain")
_QUESTIONS = ("Is {} good? Say yes or no.", "Describe {} in one word.", "What is {}?", "用中文解释 {}")
PROMPTS = [question.format(topic) for topic in _TOPICS for question in _QUESTIONS]


@pytest.fixture(scope="module")
def backbone(smollm2: Path) -> Backbone:
    return load(smollm2)


@pytest.fixture(scope="module")
def dequantised(smollm2: Path) -> Any:
    """The file as transformers reads it, in float32."""
    file = gguf_path("smollm2")
    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()


def test_logits_are_those_of_transformers_dequantised_model(backbone: Backbone, dequantised: Any) -> None:
    """Weights are stored in float16. Noise of bfloat16 would be a root mean square of 0.2 here."""
    for prompt in PROMPTS:
        ids = torch.tensor([backbone.chat.encode_turn(prompt)])
        with torch.no_grad():
            expected, found = dequantised(ids).logits, backbone.model(ids).logits
        assert expected.std() > 5
        assert (found - expected).square().mean().sqrt() < 0.02
        assert (found - expected).abs().max() < 0.2


def test_greedy_answers_are_those_of_transformers_dequantised_model(
    backbone: Backbone, dequantised: Any
) -> None:
    prompts = [backbone.chat.encode_turn(prompt) for prompt in PROMPTS[:3]]
    found = generate(backbone, prompts, max_new_tokens=8, batch_size=3)
    for prompt, answer in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        whole = dequantised.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, eos_token_id=2
        )
        assert answer == backbone.chat.decode(whole[0, len(prompt) :].tolist())
    assert any(found)


def test_special_tokens_are_the_files_own(backbone: Backbone) -> None:
    tokenizer = backbone.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert backbone.chat.stop_ids == {tokenizer.eos_token_id} == {2}
    assert tokenizer("2024", add_special_tokens=False)["input_ids"] == tokenizer.convert_tokens_to_ids(
        ["2", "0", "2", "4"]
    )


def rows_of(backbone: Backbone, benchmarks: Path) -> Iterator[list[EncodedRow]]:
    """The shortest rows of two tasks under two instructions each, which differ in their last word."""
    config = SequenceConfig(suite="SUPERNI", tasks=("195", "1310"), train_examples=60, test_examples=1)
    for task in load_sequence(config, benchmarks):
        examples = sorted(task.train, key=lambda example: len(example.input))[:3]
        yield backbone.chat.encode(
            task,
            [
                TrainingRow(task.instruction + more, example.input, example.answer)
                for more in ("", " Briefly.")
                for example in examples
            ],
        )


@pytest.mark.benchmarks_data
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_losses_of_packs_of_real_rows_are_those_of_each_row_alone(
    quantization: str, smollm2: Path, backbone: Backbone, benchmarks: Path
) -> None:
    """In 4 bits, too: the weights are dequantised to float32, and the sums differ in their order only."""
    own = backbone if quantization == "none" else load(smollm2, quantization)
    for rows in rows_of(own, benchmarks):
        assert any(batch.layout is not None for batch in batches(own, rows, tokens=10**9))
        expected = [plain_nll(own.model, row) for row in rows]
        assert answer_nll(own, rows, 10**9)[0] == pytest.approx(expected, rel=1e-5)


def test_a_newcomers_table_is_scored(smollm2: Path, tmp_path: Path) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text(
        "text,label\nI loved every minute of it.,positive\nA dull and boring mess.,negative\n"
        "What a joy to watch.,positive\nI want my money back.,negative\n"
    )
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Is it positive or negative?\nName a colour.\n")
    with (tmp_path / "log").open("w") as log:
        result = score_files(str(gguf_path("smollm2")), table, prompts, progress=plain_file(log))
    assert result.board.best.prompt == "Is it positive or negative?"
    assert [row.examples_scored for row in result.board.rows] == [4, 4]
