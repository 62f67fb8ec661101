"""What data says of a layer: moments of its inputs, gradients of its weights, and images made without any."""
