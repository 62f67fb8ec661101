"""Which covariance a layer's inputs have: measured on images, or told by the layer's own weights.

In a network of linear layers that was trained by gradient descent with weight decay, the layers are balanced:
W_{l+1}^T W_{l+1} = W_l W_l^T (Arora et al., 2018; Du et al., 2018). W_l W_l^T is, for white inputs of layer l, the
covariance of what layer l + 1 reads. So a layer's own Gram matrix W^T W tells, up to a factor, in which directions its
inputs vary: it has grown where there was something to read.
"""

import torch

DAMPING = 0.1  # of the mean variance, added to each input's: directions that the weights say nothing of


def own_gram(weight: torch.Tensor) -> torch.Tensor:
    """W^T W in the place of the inputs' covariance.

    Args:
        weight: float64 (rows, columns).

    Returns:
        float64 (columns, columns).
    """
    return weight.T @ weight
