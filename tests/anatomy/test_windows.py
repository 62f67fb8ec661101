"""The windows of a Swin are timm's: tokens share a number where its attention lets them see each other."""

import pytest
import timm
import torch
from timm.models.swin_transformer import window_partition

import swinprune_lite as sp
from swinprune_lite.anatomy.windows import window_numbers


def seen(block) -> torch.Tensor:
    """bool (tokens, tokens): what timm's block lets a token attend to."""
    (rows, columns), window, shift = block.input_resolution, block.window_size, block.shift_size
    tokens = torch.arange(rows * columns).view(1, rows, columns, 1).roll((-shift[0], -shift[1]), (1, 2))
    found = torch.zeros(rows * columns, rows * columns, dtype=torch.bool)
    for number, inside in enumerate(window_partition(tokens, window).view(-1, window[0] * window[1])):
        free = True if block.attn_mask is None else block.attn_mask[number] == 0
        found[inside[:, None], inside[None, :]] = free
    return found


@pytest.mark.parametrize("make", [
    lambda: sp.create_lite("swin_lite_tiny"),
    lambda: timm.create_model("swin_tiny_patch4_window7_224", depths=(2, 2), embed_dim=12, num_heads=(1, 1)),
], ids=["lite", "timm"])  # fmt: skip
def test_tokens_share_a_number_where_timm_lets_them_see_each_other(make):
    shifts = set()
    for stage in make().layers:
        for block in stage.blocks:
            numbers = window_numbers(*block.input_resolution, block.window_size, block.shift_size).reshape(-1)
            assert (torch.from_numpy(numbers[:, None] == numbers) == seen(block)).all()
            shifts.add(block.shift_size)
    assert len(shifts) > 1


@pytest.mark.parametrize(("window", "shift"), [((3, 4), (0, 0)), ((4, 4), (4, 0)), ((4, 4), (-1, 0)), ((0, 4), (0, 0))])
def test_windows_that_do_not_fill_the_tokens_are_refused(window, shift):
    with pytest.raises(ValueError, match=r"do not cut 8 × 16 tokens; give sides that divide these"):
        window_numbers(8, 16, window, shift)
