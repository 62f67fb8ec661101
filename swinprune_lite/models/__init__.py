"""Weights: the lite models, which ship, pretrained ones from timm, and checkpoints of Swin's own repository."""
