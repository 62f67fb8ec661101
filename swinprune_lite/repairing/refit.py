"""The weights that stay, refitted: least squares of what a layer gives, on the mask's support."""

import torch

STEPS = 20  # of conjugate gradients: a fixed number, so that digits do not depend on where rounding ends them


def least_squares(weight: torch.Tensor, mask: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """The weights V, zero where the mask prunes, of the least E|W x - V x|^2 = tr (W - V) S (W - V)^T.

    Each row's normal equations, S[kept, kept] v[kept] = (S w)[kept], solved for all rows at once by conjugate gradients
    with the diagonal as preconditioner. Where whole columns leave, as with hidden units and heads, all rows have the
    same equations, and one factorisation solves them: V_k = W_k + W_p S_pk S_kk^-1, k the kept columns, p the pruned.

    Args:
        weight: W, float64 (rows, columns).
        mask: bool (rows, columns), True = kept.
        covariance: S, float64 (columns, columns), symmetric and positive definite.

    Returns:
        float64 (rows, columns).
    """
    found = weight * mask
    if len(mask) and (mask == mask[0]).all():
        kept, pruned = mask[0], ~mask[0]
        found[:, kept] += torch.linalg.solve(
            covariance[kept][:, kept], covariance[kept][:, pruned] @ weight[:, pruned].T
        ).T
        return found
    diagonal = covariance.diagonal()
    residual = ((weight - found) @ covariance) * mask
    ready = residual / diagonal
    direction, product = ready, (residual * ready).sum(1)
    for _ in range(STEPS):
        image = (direction @ covariance) * mask
        length = _ratio(product, (direction * image).sum(1))
        found = found + length[:, None] * direction
        residual = residual - length[:, None] * image
        ready = residual / diagonal
        product, before = (residual * ready).sum(1), product
        direction = ready + _ratio(product, before)[:, None] * direction
    return found


def variance(weight: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Of each row's output, w S w^T: float64 (rows,) of weight (rows, columns) and covariance (columns, columns)."""
    return ((weight @ covariance) * weight).sum(1)


def _ratio(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    return torch.where(below > 0, above / below.where(below > 0, 1), 0)
