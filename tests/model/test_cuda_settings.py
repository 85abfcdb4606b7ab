"""What is set before CUDA and Unsloth are used. Nothing of it changes results on a CPU."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.batching import batches
from sapo_lite.model.loss import token_nll
from sapo_lite.types import TrainingRow
from tiny import load, make_task

MAKE = Callable[..., Backbone]
SET = {
    "TORCH_CUDNN_SDPA_DEPRIORITIZED": "1",
    "UNSLOTH_OFFLOAD_FP32": "exact",
    "UNSLOTH_BLOCK_COMPILE_LEGACY": "0",
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which none of it is set, and torch's own choice of attention."""
    for name in SET:
        monkeypatch.delenv(name, raising=False)
    torch.backends.cuda.enable_cudnn_sdp(True)
    return monkeypatch


def test_a_loaded_model_has_cudnn_attention_compiled_layers_and_rounded_activations_off(
    make_backbone: MAKE, settings: pytest.MonkeyPatch
) -> None:
    load(Path(make_backbone("llama").config.name))
    assert {name: os.environ.get(name) for name in SET} == SET
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_what_the_user_has_set_stays(make_backbone: MAKE, settings: pytest.MonkeyPatch) -> None:
    chosen = {
        "TORCH_CUDNN_SDPA_DEPRIORITIZED": "0",
        "UNSLOTH_OFFLOAD_FP32": "bf16",
        "UNSLOTH_BLOCK_COMPILE_LEGACY": "auto",
        "UNSLOTH_COMPILE_LOCATION": "elsewhere",
    }
    for name, value in chosen.items():
        settings.setenv(name, value)
    load(Path(make_backbone("llama").config.name))
    assert {name: os.environ[name] for name in chosen} == chosen
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_answers_logits_are_recomputed_by_torchs_own_checkpoint_whatever_has_replaced_it(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reentrant(*_: Any, **__: Any) -> Any:
        raise AssertionError("the replacement was called")

    pristine = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "_unsloth_pristine_checkpoint", pristine, raising=False)
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", reentrant)
    backbone, task = make_backbone("qwen3"), make_task(3)
    weight = backbone.decoder.layers[0].self_attn.q_proj.weight.requires_grad_()
    rows = backbone.chat.encode(task, [TrainingRow("Judge.", e.input, e.answer) for e in task.train])
    (batch,) = batches(backbone, rows)
    (gradient,) = torch.autograd.grad(token_nll(backbone, batch).sum(), [weight])
    assert gradient.norm() > 0
