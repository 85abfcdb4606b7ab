"""A model's chat format without its weights."""

from typing import TYPE_CHECKING

from sapo_lite.model.chat import ChatFormat
from sapo_lite.model.chat_template import use_template
from sapo_lite.model.files import read_tokenizer
from sapo_lite.model.hub import locate_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sapo_lite.recipe import ModelConfig


def load_chat_format(config: "ModelConfig") -> ChatFormat:
    """The chat format of a model, with the recipe's budget of tokens. No weights are read.

    Raises:
        BackboneError: the tokenizer is not on disk and cannot be fetched, or does not load.
        RenderError: it or its chat template cannot be used.
    """
    path = locate_tokenizer(config.name)
    tokenizer = read_tokenizer(path, config.name)
    use_template(tokenizer, config)
    return chat_format(tokenizer, config)


def chat_format(
    tokenizer: "PreTrainedTokenizerBase", config: "ModelConfig", vocabulary: int | None = None
) -> ChatFormat:
    """The chat format of a tokenizer with the recipe's settings. Raises RenderError.

    vocabulary: number of tokens of the model; None if there is no model
    """
    return ChatFormat(
        tokenizer,
        config.max_source_tokens,
        config.max_answer_tokens,
        vocabulary,
        newline=config.answer_newline,
        cut=config.cut,
        max_instruction=config.max_instruction_tokens,
    )
