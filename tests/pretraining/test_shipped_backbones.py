"""The shipped backbones are as good as their cards say."""

import re

import pytest

from pretraining.accuracy import accuracy_by_family
from pretraining.families import FAMILIES
from sapo_lite.model.hub import EMBEDDED, locate_model
from sapo_lite.model.load import load_backbone
from sapo_lite.recipe import ModelConfig


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_a_backbone_reaches_the_accuracy_of_its_card_on_a_fresh_seed(name: str) -> None:
    card = (locate_model(name) / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"\*\*([\d.]+)% on average\*\*", card)
    assert stated is not None
    config = ModelConfig(
        name=name,
        quantization="none",
        dtype="float32",
        loader="transformers",
        max_source_tokens=256,
        max_answer_tokens=16,
    )
    found = accuracy_by_family(load_backbone(config), FAMILIES, count=20, seed=77)
    assert sum(found.values()) / len(found) > float(stated[1]) / 100 - 0.01  # three standard errors
    assert float(stated[1]) >= 98
