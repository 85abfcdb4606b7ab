"""The policy's LoRA beside the learner's: added, switched on and off, and removed completely."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sapo_lite.model.backbone import Backbone

POLICY = "policy"  # PEFT's name for it; the learner's is "default"


@contextlib.contextmanager
def base_alone(backbone: Backbone) -> Iterator[None]:
    """Context in which every LoRA is off."""
    with backbone.model.disable_adapter():
        yield


@contextlib.contextmanager
def policy_lora(
    backbone: Backbone, *, rank: int, alpha: int, seed: int
) -> Iterator[list[torch.nn.Parameter]]:
    """Context in which a new LoRA (B = 0, so without effect yet) is the only active and trainable one.

    It is on the modules that the learner's is on. Yields its parameters. Afterwards it is removed and the
    learner's LoRA is active again, bit-identical.
    """
    from peft import LoraConfig

    model = backbone.model
    (learner,) = model.active_adapters
    own = model.peft_config[learner]
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=own.target_modules,
        exclude_modules=own.exclude_modules,
        fan_in_fan_out=own.fan_in_fan_out,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.add_adapter(POLICY, config)
    try:
        model.set_adapter(POLICY)
        yield [p for name, p in model.named_parameters() if f".{POLICY}." in name]
    finally:
        model.set_adapter(learner)
        model.delete_adapter(POLICY)


@contextlib.contextmanager
def undisturbed(backbone: Backbone) -> Iterator[None]:
    """Context that restores what a trainer, or switching adapters, changes in the backbone besides weights.

    Restored are: which weights are trainable, the forward methods that TRL replaces, the model's tags (which
    are saved with the adapter), gradient checkpointing, and the random states of all three libraries.
    """
    model, base = backbone.model, backbone.causal_lm
    trainable = [(p, p.requires_grad) for p in model.parameters()]
    modules: tuple[Any, ...] = (model, base)
    forwards = [vars(module).get("forward") for module in modules]
    tags, training = list(base.model_tags or []), model.training
    # TRL switches checkpointing off and on at every step, and adds a hook each time that makes the input
    # embeddings require gradients.
    checkpointing, hooks = base.is_gradient_checkpointing, base.get_input_embeddings()._forward_hooks
    own_hooks = list(hooks)
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module, forward in zip(modules, forwards, strict=True):
            if forward is not None:
                module.forward = forward
            else:
                vars(module).pop("forward", None)
        for hook in set(hooks).difference(own_hooks):
            del hooks[hook]
        if base.is_gradient_checkpointing and not checkpointing:
            base.gradient_checkpointing_disable()
        base.model_tags = tags
        model.train(training)
        for parameter, flag in trainable:
            parameter.requires_grad_(flag)
