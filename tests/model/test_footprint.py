"""The estimate of memory: against what processes on this CPU hold, and against public numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from footprint_measured import ANSWER, BLOCKS, LONG, RANK, write_model
from transformers import AutoConfig

from sapo_lite.model.footprint import (
    ADAM,
    COPIES,
    GRADIENT,
    HEAD_ROWS,
    Widths,
    adapter_bytes,
    cache_bytes,
    forward_bytes,
    four_bit,
    logits_bytes,
    rows_of_a_pass,
    tokens_that_fit,
    tokens_that_train,
    training_bytes,
    training_state,
)
from sapo_lite.model.known import known_config
from sapo_lite.model.shape import ModelShape, shape_of
from sapo_lite.run.costs.memory import weight_bytes
from small import ROOT

# Freed memory goes back to the system at once, so that what is resident is what is in use.
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


CASES = [("none", "float32"), ("nf4", "float32"), ("none", "bfloat16")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[tuple[str, str], dict[str, int]]:
    """What processes hold, by case."""
    program = Path(__file__).with_name("footprint_measured.py")
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, str(program), str(folder), *map(":".join, CASES)],
        capture_output=True,
        text=True,
        env={**os.environ, **AT_ONCE, "PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(zip(CASES, map(json.loads, lines), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("quantization", "dtype"), CASES)
def test_what_a_process_holds_is_what_was_predicted(
    measured: dict[tuple[str, str], dict[str, int]], folder: Path, quantization: str, dtype: str
) -> None:
    found, shape = measured[quantization, dtype], shape_in(folder)
    number, lora = (2 if dtype == "bfloat16" else 4), shape.lora(RANK * BLOCKS)
    in_layers = LONG * number * shape.widths.layers * shape.widths.hidden  # the states between layers
    cast = adapter_bytes(lora, number) - adapter_bytes(lora, 4)  # what autocast multiplies with
    predicted = {
        "weights": sum(weight_bytes(shape, quantization, number).values()),
        "adapter": adapter_bytes(lora, 4) + 8 * lora // BLOCKS,
        "gradients": 4 * lora * (GRADIENT + COPIES) + cast,
        "optimiser": 4 * lora * ADAM,
        "logits": logits_bytes(shape.widths, number, ANSWER, training=False),
        "logits in training": logits_bytes(shape.widths, number, ANSWER, training=True) + in_layers,
    }
    assert {name: found[name] for name in predicted} == pytest.approx(predicted, rel=0.1)
    estimated = {
        "forward": LONG * forward_bytes(shape.widths, number) + cast,
        "backward": LONG * trained(shape.widths, number, checkpointing=True) + cast,
    }
    assert {name: found[name] for name in estimated} == pytest.approx(estimated, rel=0.3)


def trained(
    widths: Widths, number: int, *, checkpointing: bool = False, dropout: bool = False, packed: bool = False
) -> int:
    """Bytes a token in training."""
    return training_bytes(widths, number, checkpointing=checkpointing, dropout=dropout, packed=packed)


def shape_in(folder: Path) -> ModelShape:
    return shape_of(AutoConfig.from_pretrained(folder), str(folder))


# --- numbers that anybody can look up


@pytest.mark.parametrize(
    ("name", "billions", "tied"),
    [
        ("Qwen/Qwen3-0.6B", 0.596, True),
        ("Qwen/Qwen3-1.7B", 1.721, True),
        ("unsloth/Qwen3-4B-unsloth-bnb-4bit", 4.022, True),
        ("Qwen/Qwen3-8B", 8.191, False),
        ("unsloth/Llama-3.2-1B-Instruct-bnb-4bit", 1.236, True),
        ("meta-llama/Llama-3.2-3B-Instruct", 3.213, True),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", 8.030, False),
    ],
)
def test_a_known_model_has_the_published_number_of_weights(name: str, billions: float, tied: bool) -> None:
    known = known_config(name)
    assert known is not None
    shape = shape_of(known[1], name)
    assert shape.weights / 1e9 == pytest.approx(billions, abs=0.001)
    assert shape.embeddings == (1 if tied else 2) * shape.widths.vocabulary * shape.widths.hidden
    layers = shape.widths.layers
    assert len(shape.quantised) == 7 * layers
    assert len(shape.adapted) == 2 * layers  # q_proj and v_proj
    assert shape.lora(8) == 8 * layers * sum(map(sum, shape.adapted[:2]))


def test_files_in_four_bits_are_a_third_of_those_in_sixteen() -> None:
    whole, quantised = (
        shape_of(known_config(name)[1], name).stored  # type: ignore[index]
        for name in ("Qwen/Qwen3-8B", "unsloth/Qwen3-8B-bnb-4bit")
    )
    assert whole / 1e9 == pytest.approx(16.38, abs=0.01)
    assert quantised / 1e9 == pytest.approx(6.07, abs=0.05)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-32B", "Qwen/Qwen3-8B-Coder", "smollm2", "me/Llama-3.1-8B-x"])
def test_a_model_that_is_not_known_by_its_name_is_not_guessed(name: str) -> None:
    assert known_config(name) is None


def test_layers_that_a_stored_model_keeps_in_sixteen_bits_are_counted_so() -> None:
    _, config = known_config("unsloth/Qwen3-0.6B-bnb-4bit")  # type: ignore[misc]
    config.quantization_config["llm_int8_skip_modules"] = ["lm_head", "model.layers.3.mlp", "model.layers.7"]
    shape = shape_of(config, "unsloth/Qwen3-0.6B-bnb-4bit")
    assert len(shape.quantised) == 7 * 28 - 3 - 7
    assert shape.weights / 1e9 == pytest.approx(0.596, abs=0.001)


# --- arithmetic


WIDTHS = Widths(layers=4, hidden=64, inner=128, queries=64, keys=32, vocabulary=1000)


def test_a_weight_in_four_bits_takes_half_a_byte_and_its_share_of_the_scales() -> None:
    assert four_bit(2**20) == 2**19 + 2**14 + 4 * 2**6 + 16 * 4 + 256 * 4


def test_the_parts_of_an_adapter_are_counted_by_its_copies() -> None:
    assert adapter_bytes(100, 4) == 400
    assert adapter_bytes(100, 2) == 600  # in bfloat16, autocast keeps what it multiplies with
    assert training_state(100) == 400 * 5


def test_a_cache_holds_keys_and_values_of_all_layers() -> None:
    assert cache_bytes(WIDTHS, 2) == 2 * 2 * 4 * 32


def test_logits_of_more_answers_than_a_chunk_take_no_more() -> None:
    few, chunk, many = (logits_bytes(WIDTHS, 4, rows, training=True) for rows in (8, HEAD_ROWS, 10**6))
    assert few == 8 * 1000 * 12
    assert chunk == many == HEAD_ROWS * 1000 * 12


def test_checkpointing_lowers_memory_dropout_and_packs_raise_it() -> None:
    plain = trained(WIDTHS, 2)
    assert trained(WIDTHS, 2, checkpointing=True) < plain
    assert trained(WIDTHS, 2, dropout=True) - plain == 4 * 2 * 64 * (2 + 1)
    assert trained(WIDTHS, 2, packed=True) - plain == 4 * 2 * 4 * 64


def test_a_pass_of_training_has_the_tokens_that_fit_beside_its_state() -> None:
    token = trained(WIDTHS, 2, checkpointing=True)
    kept = training_state(5000) + logits_bytes(WIDTHS, 2, HEAD_ROWS, training=True)

    def tokens(room: float) -> int:
        free = int((kept + room * token) / 0.9) + 1
        flags = {"checkpointing": True, "dropout": False, "packed": False}
        return tokens_that_train(free, WIDTHS, 2, trained=5000, **flags)

    # Powers of two.
    assert [tokens(room) for room in (-1, 0, 1, 2, 3, 4, 500, 512)] == [1, 1, 1, 2, 2, 4, 256, 512]


def test_a_pass_has_at_most_so_many_rows_and_one_at_least() -> None:
    assert [rows_of_a_pass(tokens, 100, 8) for tokens in (10, 100, 450, 8192)] == [1, 1, 4, 8]


def test_a_forward_pass_may_use_half_of_what_is_free() -> None:
    assert tokens_that_fit(10_240, 10) == 512
    assert tokens_that_fit(-5, 10) == tokens_that_fit(3, 10) == 1
