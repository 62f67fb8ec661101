"""Which directions a layer's inputs vary in, as far as it can be told without data.

A rule of repair weighs what a mask takes by the covariance of the layer's inputs. Three can be had without an image:

- of white inputs, the identity: each input by itself, which says nothing;
- told by weights. What proj reads was written by v, and what fc2 reads by fc1: for white inputs of the writer U it has
  the covariance U U^T. Writers of the residual stream are many and far, but a trained layer has grown where there was
  something to read: in a linear network trained by gradient descent W^T W is the writer's U U^T (layers are balanced;
  Arora et al., 2018; Du et al., 2018). So qkv and fc1 tell by their own W^T W;
- measured on images of nothing, see `calibration.drawn`.

Each errs in its own way, so their mean counts, all scaled to a mean variance of 1: no constant is to be chosen.
"""

from collections.abc import Callable, Mapping

import torch

DAMPING = 0.1  # of the mean variance, added to each input's where images told the covariance


def writer(
    name: str, writers: Mapping[str, tuple[str, int]], weights: Callable[[str], torch.Tensor | None]
) -> torch.Tensor | None:
    """The matrix whose rows write what a weight reads: v for the projection, fc1 for fc2; None for the others.

    Args:
        name: of the weight.
        writers: of the network, from `anatomy.modules.writers`.
        weights: from a parameter's name to its matrix (rows, columns), or None if there is none.

    Returns:
        (columns of the weight, columns of the writer).
    """
    other, first = writers.get(name, ("", 0))
    matrix, reader = weights(other), weights(name)
    if matrix is None or reader is None or len(matrix) - first != reader.shape[1]:
        return None
    return matrix[first:]


def told_by_weights(weight: torch.Tensor, written_by: torch.Tensor | None = None) -> torch.Tensor:
    """U U^T of the writer, or the layer's own W^T W where none is known.

    Args:
        weight: W, float64 (rows, columns).
        written_by: U, float64 (columns, columns of the writer).

    Returns:
        float64 (columns, columns).
    """
    return weight.T @ weight if written_by is None else written_by @ written_by.T


def mean_of(covariances: list[torch.Tensor]) -> torch.Tensor:
    """The mean of covariances and of the identity, each scaled to a mean variance of 1.

    Args:
        covariances: float64 (columns, columns); one of zeros counts for nothing.

    Returns:
        float64 (columns, columns), positive definite.
    """
    scaled = [each / each.diagonal().mean() for each in covariances if each.diagonal().mean() > 0]
    white = torch.eye(len(covariances[0]), dtype=covariances[0].dtype, device=covariances[0].device)
    return torch.stack([*scaled, white]).mean(0)
