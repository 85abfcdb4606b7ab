"""What all ways of generation share: left-padded prompts, ids that end an answer, tokens that are sampled."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sapo_lite.errors import BackboneError
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.copying import moved

# Only the most likely tokens are sampled: a small model at the published temperature drifts off otherwise.
TOP_K = 40


def stop_tokens(backbone: Backbone) -> set[int]:
    """Ids that end an answer: the tokenizer's and the generation config's end-of-sequence, end-of-turn.

    Raises:
        BackboneError: the generation config has something else than ids.
    """
    configured = backbone.causal_lm.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    ids = [i for i in (backbone.tokenizer.eos_token_id, *listed, *backbone.chat.stop_ids) if i is not None]
    if any(type(i) is not int for i in ids):
        raise BackboneError(
            f"{backbone.config.name}: its generation_config.json cannot be used: expected whole numbers as "
            f"eos_token_id, found {configured!r}"
        )
    return set(ids)


def left_padded(backbone: Backbone, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """ids and mask, int64 [B, T], with padding on the left."""
    length = max(len(p) for p in prompts)
    ids = torch.full((len(prompts), length), backbone.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    ids, mask = moved([ids, mask], backbone.device)
    return ids, mask
