"""The shape of a model: its numbers of weights and its widths, from the configuration alone.

transformers builds the model without memory, on torch's device "meta", so the counts are exact for every
architecture that it knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from sapo_lite.errors import BackboneError
from sapo_lite.model.files import read_config, reason_of
from sapo_lite.model.footprint import Widths, widths_of
from sapo_lite.model.gguf_names import is_gguf_name
from sapo_lite.model.head import decoder_of
from sapo_lite.model.hub import is_hub_name, locate_model, locate_tokenizer
from sapo_lite.model.known import known_config
from sapo_lite.model.targets import choose_targets

if TYPE_CHECKING:
    from sapo_lite.recipe import ModelConfig


@dataclass(frozen=True)
class ModelShape:
    """Numbers of weights by part, and widths.

    quantised: number of weights of each linear layer that 4-bit loading quantises
    kept: number of all others but those of `embeddings`: norms, biases, routers, experts in one tensor
    embeddings: of the input embedding and the head, counted once if they are one tensor
    adapted: (inputs, outputs) of every layer that LoRA is put on
    stored: bytes of the files of its weights
    """

    quantised: tuple[int, ...]
    kept: int
    embeddings: int
    adapted: tuple[tuple[int, int], ...]
    widths: Widths
    stored: int

    @property
    def weights(self) -> int:
        """Number of all weights."""
        return sum(self.quantised) + self.kept + self.embeddings

    @property
    def in_layers(self) -> int:
        """Number of weights that every token is multiplied with: all but embedding and head."""
        return sum(self.quantised) + self.kept

    def lora(self, rank: int) -> int:
        """Number of weights of a LoRA of this total rank."""
        return rank * sum(inputs + outputs for inputs, outputs in self.adapted)


def find_config(model: "ModelConfig", notice: Callable[[str], None]) -> Any:
    """transformers' configuration of a model. Of a hub model, its small files are fetched, not its weights.

    If they cannot be fetched, the published configuration of a well-known model of this name is taken.

    notice: called with a line for the user if that is so

    Raises:
        BackboneError: there is no such model, it cannot be used, or its configuration cannot be fetched.
    """
    name = model.name
    if is_gguf_name(name) or not is_hub_name(name):
        return read_config(locate_model(name, notice), name)
    try:
        return read_config(locate_tokenizer(name), name)
    except BackboneError as error:
        if (known := known_config(name)) is None:
            raise
        notice(f"{name} is planned by the published shape of {known[0]}{_more(name)}: {error}")
        return known[1]


def _more(name: str) -> str:
    """What a kind of files adds to the published shape, in words."""
    mixed = "-unsloth-bnb-4bit" in name.lower()
    return " (such files keep some layers in 16 bits, which takes more memory)" if mixed else ""


def shape_of(
    config: Any, name: str, wanted: Literal["auto", "all-linear"] | Sequence[str] = "auto"
) -> ModelShape:
    """The shape of the model called `name` with this configuration.

    wanted: adapter.target_modules

    Raises:
        BackboneError: transformers cannot build the model.
        TrainingError: it has none of the target modules.
    """
    from transformers import AutoModelForCausalLM

    quantised_already = getattr(config, "quantization_config", None) or {}
    vars(config).pop("quantization_config", None)  # otherwise building would need bitsandbytes
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # its config may hold anything
        raise BackboneError(f"{name}: its config.json cannot be used: {reason_of(error)}") from error
    skipped = quantised_already.get("llm_int8_skip_modules")
    quantised = _quantised(model, skipped)
    inputs, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    # On "meta", tied tensors are one tensor as elsewhere.
    embeddings = inputs.numel() + (head.numel() if head is not inputs else 0)
    every = sum(weight.numel() for weight in model.parameters())
    kept = every - sum(quantised) - embeddings
    number = 4 if str(getattr(config, "dtype", None)).endswith("float32") else 2
    rest = number * (kept + embeddings)
    return ModelShape(
        quantised=tuple(quantised),
        kept=kept,
        embeddings=embeddings,
        adapted=tuple(_adapted(model, choose_targets(model, wanted).names)),
        widths=widths_of(config),
        stored=rest + (sum(quantised) * (33 if quantised_already else 64 * number)) // 64,
    )


def _quantised(model: Any, skipped: Sequence[str] | None) -> list[int]:
    """Numbers of weights of the linear layers that bitsandbytes takes; the head is left out, as there.

    skipped: names of layers that a stored 4-bit model keeps in 16 bits
    """
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.quantizers_utils import should_convert_module

    head = model.get_output_embeddings()
    return [
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module is not head
        and should_convert_module(name, list(skipped or ()))
    ]


def _adapted(model: Any, names: Sequence[str]) -> list[tuple[int, int]]:
    """(inputs, outputs) of the layers of the text decoder with these last names."""
    from transformers.pytorch_utils import Conv1D

    return [
        tuple(module.weight.shape) if isinstance(module, Conv1D) else tuple(reversed(module.weight.shape))
        for name, module in decoder_of(model).get_decoder().named_modules()
        if name.rpartition(".")[2] in names and isinstance(module, nn.Linear | Conv1D)
    ]
