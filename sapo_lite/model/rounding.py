"""Rounding: how large a difference between equal computations it explains.

In bfloat16, every layer rounds to 8 bits, and products of other shapes round in other places. How much of
this reaches the losses depends on the model: in a tiny one a thousandth, in SmolLM2-135M (30 layers) a tenth.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.four_bit import is_repacked

# Largest allowed difference of an example's loss (relative above 1 nat) and of the whole gradient. Rounding
# causes far less; a suffix that sees its neighbour, or wrong positions, cause far more. Rounding to bfloat16
# may cause more: then ROUNDINGS times what errors of rounding in the embeddings alone cause is allowed.
TOLERANCE = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.05, 0.06)}
ROUNDINGS = 3
# Largest relative error of rounding to bfloat16, up or down.
_ERROR = 2.0**-8
_DRAWS = 2


def tolerance(backbone: Backbone) -> tuple[float, float]:
    """Allowed differences of losses and of gradients, by the coarsest number type of the model."""
    coarse = {torch.float16, torch.bfloat16, torch.int8}
    if is_repacked(backbone.model) or any(p.dtype in coarse for p in backbone.model.parameters()):
        return TOLERANCE[torch.bfloat16]
    return TOLERANCE[backbone.dtype]


def beyond_rounding(
    backbone: Backbone,
    what: str,
    most: float,
    error: Callable[[Tensor, Tensor], float],
    found: Tensor,
    measure: Callable[[], Tensor],
) -> str | None:
    """The difference in words if it is more than `most`, and than rounding to bfloat16 explains.

    measure: measures what `found` must be equal to
    """
    exact = measure()
    difference = error(found, exact)
    if difference > most and most in TOLERANCE[torch.bfloat16]:
        moved = max(error(other, exact) for other in after_rounding(backbone, measure))
        most = max(most, ROUNDINGS * moved)
    # Also true for NaN.
    return None if difference <= most else f"{what} differ by {difference:.2g}, expected at most {most:.2g}"


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
