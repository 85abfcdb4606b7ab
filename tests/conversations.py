"""Tokenizers and chat templates as models have them, small and made here."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from pretraining.tokenizer import train_tokenizer
from tiny import bpe, llama_tokenizer, qwen3_tokenizer

CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n'}}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
# Its generation prompt opens a think block, which its conversations do not have.
R1 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{'<|User|>' + m.content}}{% else %}"
    "{{'<|Assistant|>' + m.content.split('</think>')[-1] + eos_token}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|Assistant|><think>\\n'}}{% endif %}"
)
QWEN3_THINKING = (
    "{% for m in messages %}{{'<|im_start|>' + m.role + '\\n'}}{% if m.role == 'assistant' %}"
    "{{'<think>\\n\\n</think>\\n\\n'}}{% endif %}{{m.content + '<|im_end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n<think>\\n'}}{% endif %}"
)
NO_GENERATION_PROMPT = CHATML.split("{% if add_generation_prompt")[0]
REPEATS_IN_THE_PROMPT = CHATML.replace(
    "{{'<|im_start|>assistant\\n'}}", "{{'[' + messages[-1].content + ']<|im_start|>assistant\\n'}}"
)
PARTS_ONLY = CHATML.replace(
    "m.content + '<|im_end|>\\n'}}",
    "''}}{% if m.content is not string %}{% for c in m.content %}{{c.text}}{% endfor %}{% endif %}"
    "{{'<|im_end|>\\n'}}",
)
VICUNA = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + ' ASSISTANT:' }}"
    "{% else %}{{ ' ' + m.content + '<|im_end|>' }}{% endif %}{% endfor %}"
)
ENDS_WITHOUT_A_MARK = "{% for m in messages %}{{ m.role + ':\\n' + m.content + '\\n' }}{% endfor %}"
WITH_A_CLOCK = "{{'<|im_start|>system\\nToday is ' + strftime_now('%d %B %Y %f') + '<|im_end|>\\n'}}" + CHATML


def byte_level(template: Any, *special: str, **options: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as of most models."""
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|User|>", "<|Assistant|>", *special]
    named = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", **options}
    return PreTrainedTokenizerFast(tokenizer_object=bpe(names), chat_template=template, **named)


def sentencepiece(template: str, legacy: bool = False) -> PreTrainedTokenizerFast:
    """▁ for a space and before a text, bytes as a fallback: as Llama 2, TinyLlama, Phi-3.

    A legacy one writes ▁ also behind every special token.
    """
    base = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    split = pre_tokenizers.Metaspace("▁", "first", split=True)
    base.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.Digits(True)])
    words = (
        "film joy minute watch again money love even first last positive negative Say Is it yes no".split()
    )
    rng = random.Random(0)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    base.train_from_iterator(
        [" ".join(rng.choices(words, k=12)) + ".\n1 2 3\n" for _ in range(400)],
        trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False),
    )
    spec = json.loads(base.to_str())
    spec["added_tokens"] = spec["added_tokens"][:3]  # the bytes are no special tokens
    spec["pre_tokenizer"] = None
    base = Tokenizer.from_str(json.dumps(spec))
    if legacy:
        base.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        base.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=False)
    base.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=base,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<unk>",
        chat_template=template,
    )


def bytes_in_python() -> ByT5Tokenizer:
    """A tokenizer without a fast version: it does not say where its tokens begin."""
    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = ZEPHYR
    return tokenizer


# Name: a tokenizer with its template, and the tokens that end its answers.
CONVERSATIONS: dict[str, tuple[Callable[[], Any], Sequence[str]]] = {
    "Qwen3": (qwen3_tokenizer, ["<|im_end|>"]),
    "Llama 3.1": (llama_tokenizer, ["<|eot_id|>"]),
    "lab": (train_tokenizer, ["<|im_end|>"]),
    "TinyLlama": (lambda: sentencepiece(ZEPHYR), ["</s>"]),
    "TinyLlama, legacy": (lambda: sentencepiece(ZEPHYR, legacy=True), ["</s>"]),
    "Llama 2": (lambda: sentencepiece(LLAMA2), ["</s>"]),
    "Llama 2, legacy": (lambda: sentencepiece(LLAMA2, legacy=True), ["</s>"]),
    "R1": (lambda: byte_level(R1), ["<|im_end|>"]),
    "Qwen3 Thinking": (lambda: byte_level(QWEN3_THINKING), ["<|im_end|>"]),
    "no generation prompt": (lambda: byte_level(NO_GENERATION_PROMPT), ["<|im_end|>"]),
    "repeats in the prompt": (lambda: byte_level(REPEATS_IN_THE_PROMPT), ["<|im_end|>"]),
    "parts only": (lambda: byte_level(PARTS_ONLY), ["<|im_end|>"]),
    "Vicuna": (lambda: byte_level(VICUNA), ["<|im_end|>"]),
    "ends without a mark": (lambda: byte_level(ENDS_WITHOUT_A_MARK), ["<|im_end|>"]),
    "python": (bytes_in_python, ["</s>"]),
}
