"""How far a model's results move when its inputs change by no more than rounding.

In bfloat16, every layer rounds to 8 bits, and products of other shapes round in other places. How much of
this reaches the losses depends on the model: in a tiny one a thousandth, in SmolLM2-135M (30 layers) a tenth.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sapo_lite.model.backbone import Backbone

# Largest relative error of rounding to bfloat16, up or down.
_ERROR = 2.0**-8
_DRAWS = 2


def after_rounding(backbone: Backbone, measure: Callable[[], Tensor]) -> list[Tensor]:
    """What `measure` returns while the embeddings of all tokens carry random errors of rounding, twice."""
    found = []
    for seed in range(_DRAWS):
        with _rounding_errors(backbone, seed):
            found.append(measure())
    return found


@contextmanager
def _rounding_errors(backbone: Backbone, seed: int) -> Iterator[None]:
    generator = torch.Generator().manual_seed(seed)

    def move(_module: Any, _given: Any, embedded: Tensor) -> Tensor:
        errors = _ERROR * (2 * torch.rand(embedded.shape, generator=generator) - 1)
        moved: Tensor = embedded.float() * (1 + errors.to(embedded.device))
        return moved.to(embedded.dtype)

    hook = backbone.causal_lm.get_input_embeddings().register_forward_hook(move)
    try:
        yield
    finally:
        hook.remove()
