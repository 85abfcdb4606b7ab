"""Model folders of real shapes with random weights, as the hub lays them out.

    python -m benchmarks.gpu.shapes SHAPE FOLDER

Nothing here imports transformers: in a real run Unsloth is imported first, and so it is in the smoke run.
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import wordings
from sapo_lite.lab.world import examples

SHARD_BYTES = 2 * 2**30  # bytes in memory at once

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PAD, _, END_OF_TURN = range(3)  # ids of the special tokens

# The word pattern of both real tokenizers, except for Qwen's single digits: line ends are separate words.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# ChatML as Qwen3 writes it: an empty think block where thinking is off, and before the last answer.
_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == 'assistant' and loop.last %}
        {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + message.content + '<|im_end|>\\n' }}
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


@dataclass(frozen=True)
class Shape:
    """Shape of a model: its tensors; `source` and `answer` are the lengths it is run at, in tokens.

    Weights are normal with standard deviation `spread`; norms are one.
    """

    family: str  # "qwen3" or "llama"
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    tied: bool
    spread: float = 0.02
    source: int = 1536
    answer: int = 128

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor of a checkpoint; those of one dimension are norms."""
        attention, groups = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield "model.embed_tokens.weight", (self.vocab, self.hidden)
        layer = {
            "input_layernorm": (self.hidden,),
            "self_attn.q_proj": (attention, self.hidden),
            "self_attn.k_proj": (groups, self.hidden),
            "self_attn.v_proj": (groups, self.hidden),
            "self_attn.o_proj": (self.hidden, attention),
            "post_attention_layernorm": (self.hidden,),
            "mlp.gate_proj": (self.ffn, self.hidden),
            "mlp.up_proj": (self.ffn, self.hidden),
            "mlp.down_proj": (self.hidden, self.ffn),
        }
        if self.family == "qwen3":
            layer |= {"self_attn.q_norm": (self.head_dim,), "self_attn.k_norm": (self.head_dim,)}
        for n in range(self.layers):
            for name, shape in layer.items():
                yield f"model.layers.{n}.{name}.weight", shape
        yield "model.norm.weight", (self.hidden,)
        if not self.tied:
            yield "lm_head.weight", (self.vocab, self.hidden)

    @property
    def size(self) -> int:
        """Bytes of all weights in bfloat16."""
        return 2 * sum(torch.Size(shape).numel() for _, shape in self.tensors())

    def config(self) -> dict[str, Any]:
        """config.json, with the keys that the hub's has."""
        qwen3 = self.family == "qwen3"
        llama3_rope = {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        return {
            "architectures": ["Qwen3ForCausalLM" if qwen3 else "LlamaForCausalLM"],
            "model_type": self.family,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": None,
            "eos_token_id": END_OF_TURN,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": self.spread,
            "intermediate_size": self.ffn,
            "max_position_embeddings": 40960 if qwen3 else 131072,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": 1e-6 if qwen3 else 1e-5,
            "rope_scaling": None if qwen3 else llama3_rope,
            "rope_theta": 1000000 if qwen3 else 500000.0,
            "tie_word_embeddings": self.tied,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "vocab_size": self.vocab,
        }


_TINY = {"hidden": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "ffn": 128, "vocab": 4096}
_SHORT = {"spread": 0.15, "source": 192, "answer": 16}  # a wide spread, for answers that differ

SHAPES = {
    "qwen3-8b": Shape("qwen3", 4096, 36, 32, 8, 128, 12288, 151936, tied=False),
    "qwen3-4b": Shape("qwen3", 2560, 36, 32, 8, 128, 9728, 151936, tied=True),
    "llama-3.1-8b": Shape("llama", 4096, 32, 32, 8, 128, 14336, 128256, tied=False),
    "tiny": Shape("qwen3", tied=True, **_TINY, **_SHORT),  # type: ignore[arg-type]
    "tiny-llama": Shape("llama", tied=False, **_TINY, **_SHORT),  # type: ignore[arg-type]
}


def write_model(folder: Path, shape: Shape) -> bool:
    """Write the model folder, unless it already has this model. Returns whether it was written."""
    config = folder / "config.json"
    if config.is_file() and json.loads(config.read_text()) == shape.config():
        return False
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something else than this shape: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_weights(folder, shape)
    _write_tokenizer(folder, shape)
    generation = {"do_sample": False, "eos_token_id": [END_OF_TURN, PAD], "pad_token_id": PAD}
    _write_json(folder / "generation_config.json", generation)
    _write_json(config, shape.config())  # last: it marks the folder as complete
    return True


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _write_weights(folder: Path, shape: Shape) -> None:
    """bfloat16 shards and their index. Drawn on the GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    where: dict[str, str] = {}
    shard: dict[str, Tensor] = {}

    def flush() -> None:
        name = f"model-{1 + len(set(where.values())):05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        where.update(dict.fromkeys(shard, name))
        shard.clear()

    for name, size in shape.tensors():
        weight = torch.ones(size, dtype=torch.bfloat16, device=device)
        if len(size) > 1:
            weight.normal_(0, shape.spread, generator=generator)
        if shard and sum(t.nbytes for t in (*shard.values(), weight)) > SHARD_BYTES:
            flush()
        shard[name] = weight.cpu()
    flush()
    index = {"metadata": {"total_size": shape.size}, "weight_map": where}
    _write_json(folder / "model.safetensors.index.json", index)


def _write_tokenizer(folder: Path, shape: Shape) -> None:
    """A byte-level BPE of the lab's words: its ids fit into any of the vocabularies, which are larger."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lab_text(), trainer)
    # In Qwen3's vocabulary these are tokens, but not special ones.
    tags = [AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")]
    tokenizer.add_tokens(tags)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "Qwen2Tokenizer" if shape.family == "qwen3" else "PreTrainedTokenizerFast",
        "model_max_length": shape.config()["max_position_embeddings"],
        "bos_token": None,
        "eos_token": SPECIAL[END_OF_TURN],
        "pad_token": SPECIAL[PAD],
        "clean_up_tokenization_spaces": False,
        "chat_template": _TEMPLATE,
    }
    _write_json(folder / "tokenizer_config.json", settings)


def lab_text(seed: int = 0) -> list[str]:
    """Inputs, answers and instructions of the lab's tasks, shuffled."""
    text = [part for task in TASKS for e in examples(task, 2000, seed) for part in (e.input, e.answer)]
    text += [wording for task in TASKS for wording in wordings(task, 40, seed)]
    random.Random(seed).shuffle(text)
    return text


if __name__ == "__main__":
    print("written" if write_model(Path(sys.argv[2]), SHAPES[sys.argv[1]]) else "found")
