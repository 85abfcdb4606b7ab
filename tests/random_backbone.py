"""A backbone for tests of what a run does, not of what it learns: one narrow layer with random weights."""

import functools
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import Qwen3Config, Qwen3ForCausalLM

LAB = Path(__file__).resolve().parents[1] / "data/backbones/lab"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
_FILES = (*_TOKENIZER, "config.json", "model.safetensors")

# Weights so large that answers depend on the prompt.
_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "layer_types": ["full_attention"],
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "initializer_range": 0.2,
}


@functools.cache
def random_backbone() -> Path:
    """Folder of a model with the tokenizer and the chat template of `lab`.

    It is made once per machine, in the folder for temporary files, so that all processes read the same files.
    """
    made_of = [torch.__version__, transformers.__version__, json.dumps(_SHAPE)]
    made_of += [(LAB / name).read_text(encoding="utf-8") for name in ("SHA256SUMS", "config.json")]
    key = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"sapo-lite-tests-{os.getuid()}" / f"backbone-{key}"
    if not all((folder / name).is_file() for name in _FILES):
        _write(folder)
    return folder


def _write(folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = Qwen3Config.from_pretrained(LAB)
    config.update(_SHAPE)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        model.save_pretrained(made)
        for name in _TOKENIZER:
            shutil.copy(LAB / name, made)
        folder.mkdir(exist_ok=True)
        for name in _FILES:  # each at once: another process may read or write the same
            os.replace(Path(made, name), folder / name)
