"""Run by test_finetune.py, alone and under torchrun: fine-tunes a small Swin and writes what became of it.

python tests/training/two_processes.py IMAGES BATCH_SIZE OUT
"""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from timm.models.swin_transformer import SwinTransformer

import swinprune_lite as sp
from swinprune_lite.data.augmentation import training_images
from swinprune_lite.data.folders import Transform
from swinprune_lite.models.pretrained import PAPER_MODELS, config
from swinprune_lite.pruning.holding import held_masks
from swinprune_lite.training.finetune import finetune
from swinprune_lite.training.recipe import Recipe

folder, batch_size, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
torch.set_num_threads(1)
torch.manual_seed(0)
accelerator = Accelerator(cpu=True)
model = SwinTransformer(
    img_size=32, patch_size=4, window_size=4, embed_dim=16, depths=(1, 1), num_heads=(1, 2), drop_path_rate=0.0
)
masks = sp.make_masks(model, 0.6)
sp.apply_masks(model, masks)
transform = Transform((3, 32, 32), "bicubic", 0.9, "center", (0.5,) * 3, (0.5,) * 3)
batches = training_images(folder, config(PAPER_MODELS[0]), transform, batch_size)
losses = finetune(model, batches, Recipe(epochs=3, lr=1e-3, weight_decay=0.05), accelerator=accelerator)
held = held_masks(model)
found = {"losses": losses, "weights": model.state_dict(), "masks": held, "processes": accelerator.num_processes}
torch.save(found, out / f"{accelerator.process_index}.pt")
