"""Muon: momentum whose matrices are made orthogonal before they are added; Adam for everything else.

Shapes are what a small network learns last. After 300 steps of the first stage (without labels of places and edges)
it had 54% of them right, with Adam 43%.

Source: Keller Jordan, https://kellerjordan.github.io/posts/muon, with the step size of Moonshot's variant
(arXiv 2502.16982).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

# Coefficients of the quintic Newton-Schulz iteration.
_A, _B, _C = 3.4445, -4.7750, 2.0315
# Tables and single vectors, matrices by shape only.
_TABLES = ("embedding", "embed_tokens", "pos_embed", "position", "encoding", "pointer", "token", "no_mem", "head")


class Muon(torch.optim.Optimizer):
    """Muon for matrices and convolutions, Adam at a lower rate for tables, norms, biases and output heads.

    Args:
        named_parameters: What to train.
        lr: Step size of matrices.
        adam_ratio: That of the rest, as a share of `lr`.
        momentum: Of matrices.
        betas: Adam's.
        weight_decay: Of everything with more than one dimension.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        lr: float,
        *,
        adam_ratio: float = 0.4,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
        weight_decay: float = 0.01,
    ) -> None:
        matrices, rest = [], []
        for name, parameter in named_parameters:
            if parameter.requires_grad:
                (matrices if _is_matrix(name, parameter) else rest).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": matrices, "lr": lr, "is_muon": True},
            {"params": rest, "lr": lr * adam_ratio, "is_muon": False},
        ]
        super().__init__(
            [g for g in groups if g["params"]], {"momentum": momentum, "betas": betas, "wd": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.ndim > 1:
                    parameter.mul_(1 - group["lr"] * group["wd"])
                step = self._muon_step if group["is_muon"] else self._adam_step
                parameter.add_(step(parameter, self.state[parameter], group), alpha=-group["lr"])

    def _muon_step(self, parameter: nn.Parameter, state: dict, group: dict) -> torch.Tensor:
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
        matrix = (parameter.grad + group["momentum"] * momentum).flatten(1)
        # The root mean square of an Adam step, about 0.2.
        return (0.2 * max(matrix.shape) ** 0.5 * orthogonal(matrix)).view_as(parameter)

    def _adam_step(self, parameter: nn.Parameter, state: dict, group: dict) -> torch.Tensor:
        if not state:
            state |= {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter), "steps": 0}
        state["steps"] += 1
        (first, second), gradient = group["betas"], parameter.grad
        mean = state["mean"].lerp_(gradient, 1 - first) / (1 - first ** state["steps"])
        square = state["square"].lerp_(gradient * gradient, 1 - second) / (1 - second ** state["steps"])
        return mean / (square.sqrt() + 1e-8)


def orthogonal(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """About the nearest matrix `[m, n]` with singular values of one; coarse, and in bfloat16."""
    x = matrix.to(torch.bfloat16)
    x = x / (x.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(iterations):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return (x.T if tall else x).to(matrix.dtype)


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    is_wide = parameter.ndim > 1 and min(parameter.flatten(1).shape) >= 16
    return is_wide and not any(word in name for word in _TABLES)
