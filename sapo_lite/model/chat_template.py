"""The chat template that a model is used with: the model's own, one of ours, or one of a file.

No template of ours needs a new token: what ends a turn is a token that the tokenizer has.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.errors import RenderError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sapo_lite.recipe import ModelConfig

# Name of a template beside an adapter, and in a model's folder.
FILE = "chat_template.jinja"
_END = "<|im_end|>"
# In both, END is an expression for what ends a turn, and START for what begins a conversation.
_TEMPLATES = {
    "chatml": "{{ START }}{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + END + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "none": "{{ START }}{% for m in messages %}{{ m.content + (END if m.role == 'assistant' else '\\n') }}"
    "{% endfor %}",
}


def use_template(tokenizer: "PreTrainedTokenizerBase", config: "ModelConfig") -> None:
    """Give the tokenizer the template that `model.chat_template` asks for.

    "chatml" is ChatML; where the tokenizer has no <|im_end|>, its end-of-sequence token ends every turn.
    "none" is plain text: the prompt, a line end, the answer, and the end-of-sequence token. Both begin with
    the tokenizer's bos_token if it begins its texts with one.

    Raises:
        RenderError: the tokenizer has no token to end a turn with, or the file cannot be read.
        RecipeError: there is no such file.
    """
    if file := config.template_file():
        tokenizer.chat_template = _read(file)
    elif config.chat_template != "model":
        tokenizer.chat_template = _made(tokenizer, config.chat_template)


def _made(tokenizer: "PreTrainedTokenizerBase", name: str) -> str:
    marked = name == "chatml" and _END in tokenizer.get_vocab()
    if not marked and tokenizer.eos_token is None:
        raise RenderError(
            f'model.chat_template "{name}": expected a tokenizer with an eos_token, which ends an answer, '
            f"found none in {tokenizer.name_or_path}. Set eos_token (tokenizer_config.json)."
        )
    bos = tokenizer.bos_token_id
    begins = bos is not None and tokenizer("a").input_ids[:1] == [bos]
    start, end = "bos_token" if begins else "''", f"'{_END}'" if marked else "eos_token"
    return _TEMPLATES[name].replace("START", start).replace("END", end)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RenderError(f"model.chat_template {file}: cannot be read as UTF-8 text ({error})") from None
