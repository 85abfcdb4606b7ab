"""What a model's files say before its weights are read; what cannot be used is refused here in a sentence."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapo_lite.errors import BackboneError
from sapo_lite.model.hub import is_hub_name
from sapo_lite.support.messages import quoted
from sapo_lite.support.strict_json import loads

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Formats of quantised weights that other libraries write, and train or merge in other ways.
_PACKED = ("gptq", "awq", "compressed-tensors", "auto-round")
# What their authors add to the name of the model that they quantised.
_SUFFIX = re.compile(r"[-_.](gptq|awq|int[48]|w[48]a(8|16)|[48]bit|quantized).*", re.IGNORECASE)
# Numbers of parts: each is built, or stands in a list.
_MOST = (
    (re.compile(r"(num|n)_(.*_)?(layers?|blocks?|heads?|experts?)|.*_layers"), 10_000),
    (re.compile("num_.*"), 1_000_000),
    (re.compile("max_position_embeddings|vocab_size|.*(_size|_dim|_rank)|d_[a-z]+|head_dim"), 1_000_000_000),
)
# Fields that are read here, and that transformers does not check in every family.
_NUMBERS = ("sliding_window", "max_position_embeddings")


def read_config(folder: Path, name: str) -> Any:
    """transformers' configuration of the model called `name`.

    Raises:
        BackboneError: it cannot be used, or its weights are quantised in a format that is not taken.
    """
    from transformers import AutoConfig

    _refuse_endless(folder / "config.json", name)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        text = config.get_text_config()
    except Exception as error:  # its content may be anything
        _refuse_own_code(folder / "config.json", name, error)
        raise BackboneError(f"{name}: its config.json cannot be used: {reason_of(error)}") from error
    for field in _NUMBERS:
        value = getattr(text, field, None)
        if value is not None and (type(value) is not int or value < 0):
            raise BackboneError(
                f"{name}: its config.json cannot be used: expected a whole number as {field}, found {value!r}"
            )
    quantised = getattr(config, "quantization_config", None) or {}
    if not isinstance(quantised, dict):
        raise BackboneError(
            f"{name}: its config.json cannot be used: expected a table as quantization_config, found "
            f"{quantised!r}"
        )
    if (method := quantised.get("quant_method")) in _PACKED:
        raise BackboneError(
            f"{name} cannot be used: expected 16-bit weights (4-bit loading is done here, by "
            f'model.quantization = "nf4"), found weights stored in the format {method}. '
            f"Name the base model{_base_of(name)}."
        )
    return config


def _refuse_endless(file: Path, name: str) -> None:
    """Raise BackboneError for numbers that transformers would build layers or lists for without end."""
    try:
        content = loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackboneError(f"{name}: {file.name} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BackboneError(f"{name}: its {file.name} cannot be used: {error}") from None
    tables = [content] if isinstance(content, dict) else []
    while tables:
        for key, value in tables.pop().items():
            if isinstance(value, dict):
                tables.append(value)
            most = next((limit for pattern, limit in _MOST if pattern.fullmatch(key)), None)
            if most is not None and isinstance(value, int | float) and value > most:
                raise BackboneError(
                    f"{name}: its {file.name} cannot be used: expected at most {most:,} as {key}, found "
                    f"{quoted(value)}"
                )


def _refuse_own_code(file: Path, name: str, error: Exception) -> None:
    """Raise BackboneError if the model could not be read because its classes are code beside its weights.

    Such code is never run: transformers' own message would advise to allow it.
    """
    try:
        own = json.loads(file.read_text(encoding="utf-8")).get("auto_map")
    except (OSError, ValueError, AttributeError):
        return
    if own and "trust_remote_code" in str(error):
        raise BackboneError(
            f"{name} cannot be used: it needs Python code that lies beside its weights ({file.name}, "
            "auto_map), and code of a model is never run. Use a model whose classes are part of transformers."
        ) from error


def read_tokenizer(folder: Path, name: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of the model called `name`.

    Raises:
        BackboneError: its files cannot be used.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # its files may be anything
        raise BackboneError(
            f"The tokenizer of {name} could not be loaded from {folder}: {reason_of(error)}"
        ) from error
    length = tokenizer.model_max_length
    if isinstance(length, bool) or not isinstance(length, int | float):
        raise BackboneError(
            f"The tokenizer of {name} cannot be used: expected a number as model_max_length "
            f"(tokenizer_config.json), found {length!r}"
        )
    return tokenizer


def reason_of(error: Exception) -> str:
    """An error of a library in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _base_of(name: str) -> str:
    """The likely name of the base model of a hub model, for a message: ", such as OWNER/NAME", or nothing."""
    base = _SUFFIX.sub("", name)
    return f", such as {base}" if is_hub_name(name) and base != name else ""
