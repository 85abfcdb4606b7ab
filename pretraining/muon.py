"""Muon, an optimiser for weight matrices, in float32.

A step is the momentum of the gradient made orthogonal: all its singular values are brought near 1 by a
few Newton-Schulz iterations (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon). Small
transformers learn in about half of AdamW's steps with it. `torch.optim.Muon` iterates in bfloat16,
which is thirty times slower on most processors. Here, matrices of one shape are also processed together.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the odd quintic that Jordan et al. chose
_ITERATIONS = 5


def orthogonalized(matrices: Tensor) -> Tensor:
    """[N, rows, columns] -> the same with all singular values of every matrix near 1."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # singular values are at most 1
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    A step's root mean square is 0.2 x the learning rate for every shape, about that of AdamW
    (Liu et al., 2025, arXiv 2502.16982), so that both can share one learning rate.
    """

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                by_shape[matrix.shape].append(matrix)
            for (rows, columns), matrices in by_shape.items():
                moves = orthogonalized(torch.stack([self._direction(m, group["momentum"]) for m in matrices]))
                scale = 0.2 * max(rows, columns) ** 0.5
                for matrix, move in zip(matrices, moves, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(move, alpha=-group["lr"] * scale)

    def _direction(self, matrix: Tensor, momentum: float) -> Tensor:
        """The gradient with its Nesterov momentum. `momentum` is updated."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        state["momentum"].lerp_(matrix.grad, 1 - momentum)
        direction: Tensor = matrix.grad.lerp(state["momentum"], momentum)
        return direction
