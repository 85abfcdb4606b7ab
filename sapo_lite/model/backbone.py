"""The backbone: a loaded model and the few operations on it that the method needs."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.attention import PackLayout, sees_everything, use_chunked_attention
from sapo_lite.model.copying import moved
from sapo_lite.model.head import decoder_of, is_projection, own_logits, projection
from sapo_lite.model.hub import is_hub_name
from sapo_lite.model.notices import notice_once
from sapo_lite.model.targets import choose_targets
from sapo_lite.model.tokenizer import chat_format

if TYPE_CHECKING:
    from sapo_lite.model.ranks import Ranks
    from sapo_lite.recipe import AdapterConfig, ModelConfig

# Ways to answer several prompts, the fastest first.
Way = Literal["prefix", "padded", "alone"]
WAYS: tuple[Way, ...] = ("prefix", "padded", "alone")


class Backbone:
    """A frozen causal language model, its tokenizer and chat format, and (once attached) one LoRA.

    `fused` is true on Unsloth's CUDA path, whose forward and generation differ from transformers'.
    `packs` says whether `answer_states` accepts packs; the start-up check may switch it off
    (sapo_lite.model.selfcheck).
    `decoding` is the way in which prompts are answered together: after a prefix that is computed once, padded
    on the left only, or each alone; the start-up check chooses it (sapo_lite.model.decoding).
    `budget_share` scales the tokens of a forward pass: it is halved when memory runs out, and 0 when every
    row must be computed alone. `training_share` does the same in training, whose backward pass needs more.
    `answer_tokens` are those that prompts and answers generated together may have at most: no limit until
    memory runs out.
    `unused_weights` is a notice for the user if the model's files hold weights that the model does not use;
    `unusual_targets`, if the LoRA is on other modules than the published ones without being asked to;
    `notice`, about this machine and model.
    `ranks` are other processes that compute a part of what this one is asked for, or None.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        config: "ModelConfig",
        fused: bool,
        unused_weights: str | None = None,
        notice: str | None = None,
    ) -> None:
        """`config` names a number format: load_backbone replaces "auto"."""
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.fused = fused
        self.unused_weights = unused_weights
        self.notice = notice
        head: Tensor = model.get_output_embeddings().weight
        self.chat = chat_format(tokenizer, config, len(head))
        # Not the input embedding's device: Unsloth may keep that one in host memory if GPU memory is short.
        self.device: torch.device = head.device
        self.dtype: torch.dtype = getattr(torch, config.dtype)
        longest = config.max_source_tokens + config.max_answer_tokens
        self.packs = sees_everything(self.causal_lm.config, longest)
        self.budget_share = 1.0
        self.training_share = 1.0
        self.answer_tokens = math.inf
        self.unusual_targets: str | None = None
        self.decoding: Way = WAYS[0]
        self.ranks: Ranks | None = None

    @property
    def causal_lm(self) -> Any:
        """The transformers model itself, whether or not PEFT is wrapped around it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def decoder(self) -> Any:
        """The causal language model without its head."""
        return decoder_of(self.causal_lm)

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Autocast context: float32 LoRA weights multiply in bfloat16 if the model runs in bfloat16."""
        if self.dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """Evaluation mode (LoRA dropout off) without gradients; the earlier mode is restored at the end.

        The mode is set in all modules, since a trainer may look only at the outermost one (Unsloth's does).
        """
        was_training = self.model.training
        self.model.eval()
        try:
            # Not inference_mode: Unsloth caches rotary tables that training needs later.
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)

    def stop_packing(self) -> None:
        """Use padded batches from now on: a pack gave something that is not finite. Notifies the user."""
        self.packs = False
        notice_once(
            "a pack gave a loss or gradient that is not finite, and padded batches do not: from here on "
            "batches are padded, which is slower"
        )

    @property
    def dropout(self) -> str | None:
        """The model's own dropout, such as "resid_pdrop 0.1", which acts in training; None if it has none."""
        config = self.causal_lm.config.get_text_config().to_dict()
        settings = config | (config.get("attn_config") or {})  # MPT's
        of_other_heads = ("classifier", "summary")
        found = (
            f"{name} {value}"
            for name, value in settings.items()
            if "drop" in name and not name.startswith(of_other_heads) and isinstance(value, float) and value
        )
        return next(found, None)

    def answer_states(
        self, ids: Tensor, rows: Tensor, columns: Tensor, layout: PackLayout | None = None
    ) -> Tensor:
        """Last hidden states, before the vocabulary projection, at `ids[rows, columns]` only.

        ids: int64 [B, T]; rows, columns: int64 [A] -> [A, hidden size]. With `layout`, B = 1 and ids
        are a pack.
        """
        with self.autocast():
            if self.fused:
                return self._fused_states(ids, layout)[rows, columns]
            # A checkpointed layer runs again in the backward pass, when the row numbers are gone.
            recomputed = torch.is_grad_enabled() and self.causal_lm.is_gradient_checkpointing
            last = contextlib.nullcontext() if recomputed else only_at(self.decoder, rows, columns)
            with last:
                hidden: Tensor = self._states(ids, layout)
            return hidden[rows, columns]

    def _states(self, ids: Tensor, layout: PackLayout | None) -> Tensor:
        arguments: dict[str, Any] = {}
        if layout is not None and use_chunked_attention(self.causal_lm):
            # Any four-dimensional mask keeps transformers from building its own.
            arguments = {"pack": layout.chunks(self.dtype), "attention_mask": ids[None, None]}
        elif layout is not None:
            # An additive mask: every attention implementation adds it to the scores, but not all accept
            # booleans.
            mask = layout.mask()
            dense = torch.zeros_like(mask, dtype=self.dtype)
            arguments = {"attention_mask": dense.masked_fill(~mask, torch.finfo(self.dtype).min)}
        if layout is not None:
            arguments["position_ids"] = layout.positions
        hidden: Tensor = self.decoder(input_ids=ids, use_cache=False, **arguments).last_hidden_state
        return hidden

    def _fused_states(self, ids: Tensor, layout: PackLayout | None) -> Tensor:
        """Hidden states from Unsloth's own forward, whose shared-prefix kernel accepts a pack."""
        arguments: dict[str, Any] = {}
        if layout is not None:
            arguments = {"prefix_seg_info": segments(layout), "position_ids": layout.positions}
        # Unsloth reads this switch at every call; the states then come back under the name `logits`.
        with _environment("UNSLOTH_RETURN_HIDDEN_STATES", "1"):
            hidden: Tensor = self.model(input_ids=ids, use_cache=False, **arguments).logits
        expected = (*ids.shape, self.causal_lm.config.get_text_config().hidden_size)
        if hidden.shape != expected:
            raise BackboneError(
                f"Unsloth returned a tensor of shape {tuple(hidden.shape)} where hidden states of shape "
                f"{expected} were expected. This Unsloth version is "
                "not supported; install the pinned one (constraints.txt) or set "
                "model.loader = 'transformers'."
            )
        return hidden

    def head(self, hidden: Tensor) -> Tensor:
        """Vocabulary logits, scaled or capped if the model does so: [N, hidden size] -> [N, vocabulary]."""
        return self._logits(self.causal_lm, hidden)

    @cached_property
    def _logits(self) -> Callable[[Any, Tensor], Tensor]:
        return projection if is_projection(self.causal_lm) else own_logits

    def attach_lora(
        self, config: "AdapterConfig", *, rank: int, alpha: int, checkpointing: bool, offload: bool = True
    ) -> None:
        """Wrap the model in ONE PEFT LoRA of the given total rank. Called once per loaded model.

        offload: with checkpointing, let Unsloth move the inputs of layers to the host's memory and back
        """
        targets = choose_targets(self.causal_lm, config.target_modules)
        self.unusual_targets = targets.notice
        options: dict[str, Any] = {
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": config.dropout,
            "target_modules": list(targets.names),
            **targets.options,
        }
        if self.config.loader == "unsloth":
            from unsloth import FastLanguageModel

            kind = "unsloth" if checkpointing and offload else checkpointing
            self.model = FastLanguageModel.get_peft_model(
                self.model, use_gradient_checkpointing=kind, **options
            )
        else:
            from peft import LoraConfig, get_peft_model

            self.model = get_peft_model(self.model, LoraConfig(task_type="CAUSAL_LM", **options))
        if is_hub_name(self.config.name):
            # Saved with the adapter: on another machine the hub name is valid, our local path is not.
            self.model.peft_config["default"].base_model_name_or_path = self.config.name


def segments(layout: PackLayout) -> Any:
    """A pack as input of Unsloth's shared-prefix kernel (`PrefixSegInfo`), where the layout is.

    Unsloth makes it of many small tensors, of several for each suffix: that is done on the CPU, and what they
    add up to is copied at once.
    """
    from unsloth.utils.prefix_grouper_kernel import build_seg_info_multigroup

    groups = [(group.prefix, list(group.suffixes)) for group in layout.groups]
    found, _ = build_seg_info_multigroup(groups, torch.device("cpu"))
    names = ("group_of_kv", "is_prefix", "suffix_of_kv")
    group, prefix, suffix = moved([getattr(found, name).long() for name in names], layout.places.device)
    return replace(found, group_of_kv=group, is_prefix=prefix.bool(), suffix_of_kv=suffix)


@contextlib.contextmanager
def only_at(decoder: Any, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """Context in which the last layer's MLP runs at `[rows, columns]` only: no other state is read.

    In a model of few layers this saves much: 18 % of the multiplications of the lab's model of four layers.
    """
    mlp = getattr(decoder.layers[-1], "mlp", None) if hasattr(decoder, "layers") else None
    if mlp is None:
        yield
        return
    shape = torch.Size()

    def pick(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        nonlocal shape
        shape = args[0].shape
        return (args[0][rows, columns][None],)

    def put_back(_: Any, __: Any, output: Any) -> Any:
        if isinstance(output, tuple):  # MoE layers return (hidden, router_logits)
            return (put_back(_, __, output[0]), *output[1:])
        return output.new_zeros(shape).index_put((rows, columns), output[0])

    hooks = [mlp.register_forward_pre_hook(pick), mlp.register_forward_hook(put_back)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
