"""What hidden units and heads are worth: what takes the place of w^2 in equation 10 for groups that leave whole.

A hidden unit is a row of fc1, its bias and a column of fc2. A head is its rows of q, k and v with their
biases, its column of the position bias, and its columns of the projection. Either way the block's output
loses exactly the product of two matrices, what writes the group (W_in: rows of fc1 or of v) and what reads
it (W_out: columns of fc2 or of the projection), and equation 7's argument bounds the change by norms:

    ||W_out[S] a(W_in[S] x)|| <= ||W_out[S]||_F ||W_in[S]||_F ||x||                 for a set S of groups
      <= 1/2 (||W_in[S]||_F^2 / ||W_in||_F^2 + ||W_out[S]||_F^2 / ||W_out||_F^2) ||W_in||_F ||W_out||_F ||x||

The first factor of the last line is a sum over the groups of S: each group's *energy*. Attention's rows sum
to one and q and k set only where a head looks, so they are not in the bound. Energy takes the place of w^2
in equation 10.

The bound takes every input for possible and every group for as good as its norms. A unit that hardly varies, or that
never leaves the flat side of its activation, is worth nothing whatever its norms: its mean is a bias. What the block's
output loses in *variance* is, for a group g whose outputs have the covariance S_g, tr W_out[g] S_g W_out[g]^T; groups
that vary together are counted as if they did not. That is variance-based pruning (Berisha et al., ICCV 2025), there for
hidden units and on images; here for heads too, and without images where `calibration.propagated` can guess S.

A head's norms tell how its products came about as well as what they are: W_out[g] W_v[g] has others when q, k and v are
rotated and stretched. The least 1/2 (||A||_F^2 + ||B||_F^2) over all A B that are the same product is the sum of its
singular values. So a head may be counted by those of W_out[g] W_v[g] and, for where it looks, of W_q[g]^T W_k[g].
"""

from collections.abc import Mapping

import torch
from torch import nn

from swinprune_lite.anatomy.parts import Part
from swinprune_lite.calibration.propagated import part_moments
from swinprune_lite.pruning.importance import scaled
from swinprune_lite.types import InputMoments


def energies(model: nn.Module, part: Part) -> torch.Tensor:
    """Energy of each group of a part, float64 (count,) on the CPU, summing to 1: the derivation above.

    A matrix of zeros has no energy to share: its groups have none, and the sum is a half or zero.
    """
    rows = scaled(model.get_submodule(part.writer).weight.detach())
    rows = rows.unflatten(0, (-1, part.count, part.width))[-1]  # of q, k and v the last
    columns = _columns(model, part)
    shares = []
    for matrix in (rows, columns):
        energy = matrix.square().flatten(1).sum(1)
        shares.append(energy / (energy.sum() or 1))
    return (sum(shares) / 2).cpu()


def singular_values(model: nn.Module, part: Part) -> torch.Tensor:
    """Share of each head in the singular values of W_out W_v and of W_q^T W_k, half each: as `energies` gives them."""
    query, key, value = scaled(model.get_submodule(part.writer).weight.detach()).unflatten(0, (3, part.count, -1))
    shares = []
    for first, second in ((query, key), (_columns(model, part), value)):  # (count, width, columns) each
        small = torch.linalg.qr(first.mT, "r").R @ torch.linalg.qr(second.mT, "r").R.mT  # first^T second's own
        values = torch.linalg.svdvals(small).sum(1)
        shares.append(values / (values.sum() or 1))
    return (sum(shares) / 2).cpu()


def variances(model: nn.Module, part: Part, moments: Mapping[str, InputMoments] | None = None) -> torch.Tensor:
    """Share of each group of a part in the variance of its block's output, float64 (count,) on the CPU, summing to 1.

    Args:
        model: the network.
        part: of its hidden units or heads.
        moments: of what the layers read, measured; None: guessed from the weights.

    Raises:
        ValueError: the block's weights do not tell what it reads; see `calibration.propagated`.
    """
    columns = _columns(model, part).cpu()
    read = moments[f"{part.reader}.weight"] if moments else part_moments(model, part)[1]
    covariance = read.covariance.view(part.count, part.width, part.count, part.width)
    each = torch.arange(part.count, device="cpu")
    found = torch.einsum("gio,gij,gjo->g", columns, covariance[each, :, each], columns).clamp_min(0)  # but for rounding
    return found / (found.sum() or 1)


def _columns(model: nn.Module, part: Part) -> torch.Tensor:
    """What reads each group, float64 (count, width, rows), of which the largest has the size 1."""
    return scaled(model.get_submodule(part.reader).weight.detach()).T.unflatten(0, (part.count, part.width))
