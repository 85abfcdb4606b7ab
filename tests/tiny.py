"""Tiny random Qwen3 and Llama models, saved as folders that `load_backbone` takes, and tasks for them.

The tokenizers are byte-level BPE as the real ones are; the chat templates are short ones of our own that
do what the real ones do: Qwen3's empty think block, Llama 3.1's own system turn, its bos and its `| trim`.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from sapo_lite.learning.adapters.blocks import BlockAdapter
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow
from sapo_lite.model.four_bit import stop_repacking
from sapo_lite.model.load import load_backbone
from sapo_lite.prompts.losses import CandidateLoss
from sapo_lite.recipe import AdapterConfig, ModelConfig
from sapo_lite.types import Example, Task

FAMILIES = ("qwen3", "llama")
MAX_SOURCE, MAX_ANSWER = 192, 24

_SENTENCES = [
    "Decide whether the sentiment of the text is positive or negative.",
    "Read the text and say which of the labels fits: yes, no or maybe.",
    "Directly output only the label as your answer.",
    "Text: the film was a joy from its first minute to its last.",
    'Text: I would not watch this again, not even for {money} or "love".',
    "请判断下面这段文本的情感是积极还是消极。",
    "文本:这部电影从第一分钟到最后一分钟都很精彩。",
    "直接输出标签作为答案。",
]

# GPT-4's split, as in both real tokenizers: a run of newlines is a word of its own.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_QWEN3_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.last %}
            {{- '<think>\\n\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

_LLAMA_TEMPLATE = """\
{{- bos_token }}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{{- 'Cutting Knowledge Date: December 2023\\nToday Date: 26 Jul 2024\\n\\n' }}
{%- if messages[0].role == 'system' %}
    {{- messages[0].content | trim }}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
    {{- message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""


def bpe(special: Sequence[str], normalizer: Any = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    return tokenizer


def qwen3_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    # In Qwen3's vocabulary these are tokens, but not special ones.
    tokenizer.add_tokens(
        [AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=_QWEN3_TEMPLATE,
    )


def llama_tokenizer() -> PreTrainedTokenizerFast:
    """Without a padding token, and writing a bos when asked for special tokens, as Llama 3.1's does."""
    names = ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id")
    tokenizer = bpe([f"<|{name}|>" for name in names])
    bos = "<|begin_of_text|>"
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token="<|eot_id|>",
        clean_up_tokenization_spaces=True,
        chat_template=_LLAMA_TEMPLATE,
    )


def save_model(family: str, folder: Path) -> Path:
    """Two layers of 64, with weights large enough for answers that differ."""
    tokenizer = qwen3_tokenizer() if family == "qwen3" else llama_tokenizer()
    shape: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.15,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(7)
    if family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(tie_word_embeddings=True, **shape))
    else:
        rope = {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 256,
        }
        model = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=False, rope_parameters=rope, **shape))
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end_of_text|>")]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends if family == "llama" else ends[0],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load(folder: Path, quantization: str = "none", loader: str = "transformers") -> Backbone:
    """A fresh backbone in float32: these processors have no native bfloat16."""
    return load_backbone(
        ModelConfig(
            name=str(folder),
            quantization=quantization,
            dtype="float32",
            loader=loader,
            max_source_tokens=MAX_SOURCE,
            max_answer_tokens=MAX_ANSWER,
        )
    )


def plain_model(backbone: Backbone) -> Any:
    """The same base model again, by transformers alone, quantised with the same settings, to be trained."""
    quantization = getattr(backbone.causal_lm.config, "quantization_config", None)
    model = AutoModelForCausalLM.from_pretrained(
        backbone.config.name, dtype=torch.float32, quantization_config=quantization
    )
    stop_repacking(model)
    return model.eval()


def adapter_config(**settings: Any) -> AdapterConfig:
    """Rank 4, scale 4, without dropout; the published target modules."""
    return AdapterConfig(**{"rank": 4, "alpha": 16, "dropout": 0.0, **settings})


def fill_blocks(adapter: BlockAdapter, blocks: int, seed: int = 0) -> None:
    """Blocks 0..blocks-1 as if they had been learned: A and B far from zero."""
    generator = torch.Generator().manual_seed(seed)
    learned = slice(0, blocks * adapter.rank)
    for a, b in adapter.pairs:
        a.data[learned] = 0.1 * torch.randn(a[learned].shape, generator=generator)
        b.data[:, learned] = 0.1 * torch.randn(b[:, learned].shape, generator=generator)


def row_nll(model: torch.nn.Module, row: EncodedRow) -> torch.Tensor:
    """Summed answer NLL of one row alone: full logits, float32 log-softmax, nothing shared, no padding."""
    ids = torch.tensor([row.ids])
    log_probabilities = model(input_ids=ids).logits.float().log_softmax(-1)
    picked = log_probabilities[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
    return -picked[row.answer_start - 1 :].sum()


def plain_nll(model: torch.nn.Module, row: EncodedRow) -> float:
    """The same without dropout and without a gradient."""
    model.eval()
    with torch.no_grad():
        return row_nll(model, row).item()


_WORD_POOL = 'film joy minute watch again money love 电影 精彩 not even first last { } "quoted" 文本'.split()
_ANSWERS = ("positive", "negative", "no", "maybe not even for money", "积极", "消极的")


def make_task(examples: int = 6, seed: int = 0) -> Task:
    """An English task whose inputs and answers differ much in length."""
    rng = random.Random(seed)
    rows = [
        Example(" ".join(rng.choices(_WORD_POOL, k=rng.randint(1, 20))), _ANSWERS[n % len(_ANSWERS)])
        for n in range(examples)
    ]
    return Task(
        id="task195_sentiment140_classification",
        suite="SUPERNI",
        instruction="Decide whether the sentiment of the text is positive or negative.",
        suffix="Directly output only the label as your answer.",
        labels=("positive", "negative"),
        language="en",
        train=tuple(rows),
        test=tuple(rows),
    )


def with_inputs(task: Task, *inputs: str, answer: str = "positive") -> Task:
    """The task with these inputs as its training and test examples."""
    rows = tuple(Example(text, answer) for text in inputs)
    return replace(task, train=rows, test=rows)


def candidate_score(
    index: int, nll_sum: Sequence[float], tokens: Sequence[int], total: int = 0
) -> CandidateLoss:
    """Losses of the first examples, of `total` or of as many as there are losses."""
    n = len(tokens)
    return CandidateLoss(index, tuple(nll_sum), tuple(tokens), tuple(range(n)), total or n)
