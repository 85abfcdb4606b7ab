"""Loading a model. The only place that imports Unsloth; everything else sees a `Backbone`.

Unsloth is used as a loader and a set of kernels. `model.loader = "transformers"` does the same
with plain transformers and PEFT, so nothing in sapo-lite depends on Unsloth's licence or presence.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sapo_lite.chat import ChatFormat
from sapo_lite.errors import BackboneError
from sapo_lite.model_files import is_hub_name, locate_model

if TYPE_CHECKING:
    from sapo_lite.recipe import AdapterConfig, ModelConfig


class Backbone:
    """A frozen causal language model, its tokenizer and chat format, and (once attached) one LoRA.

    `fused` is true on Unsloth's CUDA path, whose forward and generation differ from transformers'.
    """

    def __init__(self, model: Any, tokenizer: Any, config: "ModelConfig", fused: bool) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.fused = fused
        self.chat = ChatFormat(tokenizer, config.max_source_tokens, config.max_answer_tokens)
        # Not that of the input embedding, which Unsloth may keep in host memory where a card is tight.
        self.device: torch.device = model.get_output_embeddings().weight.device
        self.dtype: torch.dtype = getattr(torch, config.dtype)

    @property
    def causal_lm(self) -> Any:
        """The transformers model itself, whether or not PEFT is wrapped around it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """LoRA weights are float32; their products run in bfloat16 where the model does."""
        if self.dtype is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """Evaluation mode (LoRA dropout off) without gradients; the mode found is restored."""
        was_training = self.model.training
        self.model.eval()
        try:
            # Not inference_mode: Unsloth caches rotary tables that training needs later.
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)

    @property
    def notice(self) -> str | None:
        """What a user should know about this machine and model, if anything."""
        if self.device.type == "cpu" and self.dtype is torch.bfloat16:
            return (
                "no GPU was found, and most CPUs are very slow in bfloat16: stop and add "
                "--set model.dtype=float32, or use a smaller model"
            )
        return None

    @property
    def packs(self) -> bool:
        """Whether `hidden_states` takes packs: transformers' forward does, Unsloth's fused one does not."""
        return not self.fused

    def hidden_states(
        self, ids: Tensor, positions: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Last hidden states, before the vocabulary projection: int64 [B, T] -> [B, T, hidden size].

        `positions` and `mask` come with a pack (`sapo_lite.packing`).
        """
        causal_lm = self.causal_lm
        if not self.fused:
            decoder = getattr(causal_lm, causal_lm.base_model_prefix)
            if mask is not None:
                # Added to the scores, which every attention does; not all of them take truth values.
                mask = torch.zeros_like(mask, dtype=self.dtype).masked_fill(
                    ~mask, torch.finfo(self.dtype).min
                )
            output = decoder(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False)
            hidden: Tensor = output.last_hidden_state
            return hidden
        # Unsloth reads this switch at every call; the states then come back under the name `logits`.
        with _environment("UNSLOTH_RETURN_HIDDEN_STATES", "1"):
            hidden = self.model(input_ids=ids, use_cache=False).logits
        if hidden.shape[:2] != ids.shape or hidden.shape[-1] != causal_lm.config.hidden_size:
            raise BackboneError(
                f"Unsloth returned a tensor of shape {tuple(hidden.shape)} where hidden states of shape "
                f"{(*ids.shape, causal_lm.config.hidden_size)} were expected. This Unsloth version is not "
                "supported; install the pinned one (constraints.txt) or set model.loader = 'transformers'."
            )
        return hidden

    def head(self, hidden: Tensor) -> Tensor:
        """Vocabulary logits: [N, hidden size] -> [N, vocabulary]."""
        head = self.causal_lm.get_output_embeddings()
        logits: Tensor = head(hidden.to(head.weight.dtype))
        return logits

    def attach_lora(self, config: "AdapterConfig", *, rank: int, alpha: int, checkpointing: bool) -> None:
        """Wrap the model in ONE PEFT LoRA of the given total rank. Called once per loaded model."""
        options: dict[str, Any] = {
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": config.dropout,
            "target_modules": list(config.target_modules),
        }
        if self.config.loader == "unsloth":
            from unsloth import FastLanguageModel

            self.model = FastLanguageModel.get_peft_model(
                self.model, use_gradient_checkpointing="unsloth" if checkpointing else False, **options
            )
        else:
            from peft import LoraConfig, get_peft_model

            self.model = get_peft_model(self.model, LoraConfig(task_type="CAUSAL_LM", **options))
        if is_hub_name(self.config.name):
            # Saved with the adapter: other machines have the model under this name, not at our path.
            self.model.peft_config["default"].base_model_name_or_path = self.config.name


def load_backbone(config: "ModelConfig") -> Backbone:
    """Load model and tokenizer as the recipe asks, quantised to NF4 with double quantisation or not.

    Raises:
        BackboneError: the model is not on disk and cannot be fetched, or does not load.
        RenderError: its tokenizer has no chat template.
    """
    path = locate_model(config.name)
    _prepare_environment()
    load = _load_with_unsloth if config.loader == "unsloth" else _load_with_transformers
    try:
        model, tokenizer = load(path, config)
    except (OSError, ValueError, RuntimeError) as error:
        raise BackboneError(f"{config.name} could not be loaded from {path}: {error}") from error
    _require_what_was_asked(model, config)
    model.requires_grad_(False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Backbone(model, tokenizer, config, fused=config.loader == "unsloth" and torch.cuda.is_available())


def _load_with_unsloth(path: Path, config: "ModelConfig") -> tuple[Any, Any]:
    try:
        from unsloth import FastLanguageModel
    except ImportError as error:
        raise BackboneError(
            "Unsloth is not installed. Install it with `pip install --no-deps unsloth==2026.10.9 "
            "unsloth_zoo==2026.10.9` (no GPU) or `pip install 'sapo-lite[gpu]'` (CUDA), or load with "
            "plain transformers: --set model.loader=transformers."
        ) from error

    model, tokenizer = FastLanguageModel.from_pretrained(
        str(path),
        max_seq_length=config.max_source_tokens + config.max_answer_tokens,
        dtype=getattr(torch, config.dtype),
        load_in_4bit=config.quantization == "nf4",
        use_exact_model_name=True,
    )
    # Else Unsloth's CUDA trainer turns bfloat16 autocast on for a float32 model. Its CPU path ignores this.
    model._unsloth_forced_float32 = config.dtype == "float32"
    return model, tokenizer


def _load_with_transformers(path: Path, config: "ModelConfig") -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    dtype = getattr(torch, config.dtype)
    options: dict[str, Any] = {"dtype": dtype, "device_map": "cuda" if torch.cuda.is_available() else "cpu"}
    if config.quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = AutoModelForCausalLM.from_pretrained(path, **options)
    for module in model.modules():
        # On some CPUs bitsandbytes repacks weights at the first no-grad forward, and every later
        # backward pass through them is wrong (Unsloth's loader switches this off too).
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model, AutoTokenizer.from_pretrained(path)


def _require_what_was_asked(model: Any, config: "ModelConfig") -> None:
    if config.quantization == "nf4" and not getattr(model, "is_loaded_in_4bit", False):
        # Unsloth only prints a line where bitsandbytes does not work, and loads 16 bits.
        raise BackboneError(
            f"{config.name} was loaded in 16 bits though 4 were asked for: bitsandbytes does not work here. "
            "Run `python -m bitsandbytes` to see why, or set model.quantization = 'none'."
        )
    native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if config.dtype == "bfloat16" and torch.cuda.is_available() and not native:
        raise BackboneError(
            f"{torch.cuda.get_device_name()} does not compute in bfloat16. "
            "Set model.dtype = 'float32' (with model.quantization = 'nf4' the weights stay small)."
        )
    length = config.max_source_tokens + config.max_answer_tokens
    if length > model.config.max_position_embeddings:
        raise BackboneError(
            f"model.max_source_tokens + model.max_answer_tokens is {length}, but {config.name} reads "
            f"{model.config.max_position_embeddings} tokens at most. Lower them."
        )


def _prepare_environment() -> None:
    """Keep libraries offline, silent and out of the working directory. The model is on disk by now."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sapo-lite"
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        TRANSFORMERS_VERBOSITY="error",
        TOKENIZERS_PARALLELISM="false",
        UNSLOTH_DISABLE_STATISTICS="1",
    )
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(cache / "unsloth_compiled"))
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True  # read from the environment only once, at import
    for name in ("bitsandbytes", "torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)


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
