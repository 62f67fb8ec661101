"""What cutting takes, seen inside of a model, against a forward pass."""

import copy
import statistics
from functools import partial
from itertools import islice

import pytest
import torch

import swinprune_lite as sp
from swinprune_lite.anatomy.parts import HEADS, parts
from swinprune_lite.repairing import collapse

MICRO = "swin_lite_micro"
LAYER = "layers.2.blocks.1.attn.proj"


def test_what_a_layer_gives_is_what_a_forward_pass_gives():
    model = sp.load_lite(MICRO).double()  # whose numbers a layer could share
    masks, pairs = sp.make_masks(model, 0.8), list(islice(sp.lite_data("held-out"), 1))
    masks["layers.0.blocks.0.mlp.fc1.weight"][:] = True
    found = collapse.layers(model, dict(reversed(masks.items())), collapse.moments_on(model, pairs))
    assert list(found.index) == [name.removesuffix(".weight") for name in reversed(masks) if not masks[name].all()]
    found = found.loc[LAYER]
    read = []
    twin = copy.deepcopy(model).double()
    twin.get_submodule(LAYER).register_forward_pre_hook(lambda layer, given: read.append(given[0].flatten(0, -2)))
    with torch.no_grad():
        twin(pairs[0][0].double())
    weight = twin.get_parameter(f"{LAYER}.weight").detach()
    cut = weight * masks[f"{LAYER}.weight"]
    before, after = (read[0] @ each.T for each in (weight, cut))
    assert found.deviation == pytest.approx(float((after.std(0) / before.std(0)).median()))
    difference = (before - after).var(0, correction=0).sum() / before.var(0, correction=0).sum()
    assert found[collapse.CUT] == pytest.approx(float(difference))
    assert found["real images"] < found["their mean"]
    assert found["real images"] < found[collapse.CUT]


def test_the_stream_of_a_model_is_its_own():
    model = sp.load_lite(MICRO)
    pairs = list(islice(sp.lite_data("held-out", 20), 1))
    quiet = copy.deepcopy(model)
    with torch.no_grad():
        for name in ("weight", "bias"):
            quiet.get_parameter(f"layers.3.blocks.1.mlp.fc2.{name}").zero_()
    found = collapse.stream(model, {"same": model, "quiet": quiet}, pairs)
    assert (found.same == 1).all()
    assert (found.quiet.iloc[:-1] == 1).all()
    assert found.quiet.iloc[-1] != 1
    assert len(found) == 12


def test_what_leaves_with_heads_is_what_a_forward_pass_lacks():
    model = sp.load_lite(MICRO)
    masks = sp.structured_masks(model, 0.5)
    pairs = list(islice(sp.lite_data("held-out"), 1))
    found = collapse.whole_parts(model, masks, collapse.moments_on(model, pairs))
    assert found.loc["least squares, these real images", "heads"] < found.loc["cut", "heads"]
    read, errors = {}, []
    twin = copy.deepcopy(model).double()
    readers = [part.reader for part in parts(model) if part.kind == HEADS]
    for name in readers:
        keep = partial(lambda name, layer, given: read.update({name: given[0].flatten(0, -2)}), name)
        twin.get_submodule(name).register_forward_pre_hook(keep)
    with torch.no_grad():
        twin(pairs[0][0].double())
        for name in readers:
            weight = model.get_parameter(f"{name}.weight").double()
            gives, lost = (read[name] @ each.T for each in (weight, weight * ~masks[f"{name}.weight"]))
            errors.append(float(lost.square().mean(0).sum() / gives.var(0, correction=0).sum()))
    assert found.loc["cut", "heads"] == pytest.approx(statistics.median(errors))
