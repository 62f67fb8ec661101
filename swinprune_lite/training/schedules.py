"""Schedules: masks that take more and more, for training in between."""

from collections.abc import Iterator, Sequence
from numbers import Integral

from torch import nn

from swinprune_lite.anatomy.modules import PRUNED_MODULES, modules
from swinprune_lite.pruning.holding import held_masks
from swinprune_lite.pruning.masks import make_masks
from swinprune_lite.pruning.methods import Method, combination
from swinprune_lite.types import Grouping, Masks


def schedule(
    model: nn.Module,
    ratio: float,
    steps: int,
    turns: Sequence[str] | str | Grouping | None = None,
    method: str | Method = "dimap",
    seed: int = 0,
    **how: object,
) -> Iterator[Masks]:
    """Masks for gradual pruning, each made when it is asked for, from the weights as they are by then::

        for masks in schedule(model, 0.8, steps=4):
            apply_masks(model, masks)
            finetune(model, batches, recipe)

    Step t of n brings each group from its start to its end by the cubic of Zhu and Gupta (2017),
    s_t = s_n + (s_0 - s_n) (1 - t / n)^3: much at first, little in the end. The start is what the model's held masks
    have removed, and the end is what `make_masks` removes at once, counted when this is called. Every step chooses
    among the weights that the step before has kept, so what is removed stays removed, however training moves the
    others. With `turns` one part of the model after the other goes all its way.

    Args:
        model: the network, which may be trained between the steps.
        ratio: share to remove in the end, as `make_masks` takes it, met exactly by the last masks; of the MACs, see
            `of` there, exactly only if training changes no order, since the weights are counted beforehand.
        steps: number of masks, of each turn.
        turns: None: all parts together. Otherwise what has its turn one after the other: names of modules, such as
            ("MLP-M", "QKV-M", "PRJ-M"), or a grouping, such as "by_stage", from the first stage to the last. Weights
            that compete must have their turn together.
        method, seed: see `make_masks`.
        how: its other arguments, by name. The statistics may be replaced in their mapping between the steps.

    Returns:
        `steps` masks, times the number of turns: parameter name -> bool tensor of its shape, True = kept.

    Raises:
        ValueError: steps that are no whole number from 1, a turn that is unknown or splits a group, or what
            `make_masks` refuses; before the first step.
    """
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"The steps of a schedule must be a whole number, 1 or more; got {steps!r}.")
    _, grouping, _ = combination(method, grouping=how.get("grouping")).parts()
    groups, held = grouping(model), held_masks(model)
    final = make_masks(model, ratio, method, seed, **how, within=held)
    starts, ends = _removed(groups, held), _removed(groups, final)
    parts = _turns(model, groups, turns)

    def masks_of_steps() -> Iterator[Masks]:
        last = held
        for turn in range(max(parts) + 1):
            for step in range(1, steps + 1):
                shares = [1 - (1 - step / steps) ** 3 if part == turn else float(part < turn) for part in parts]
                counts = [start + round((end - start) * share) for start, end, share in zip(starts, ends, shares)]
                now = {
                    "grouping": lambda _: groups,
                    "budget": lambda *_, counts=counts: counts,
                    "of": "weights",
                    "within": last,
                }
                last = make_masks(model, ratio, method, seed, **how | now)
                yield last

    return masks_of_steps()


def _removed(groups: Sequence[Sequence[str]], masks: Masks) -> list[int]:
    return [sum(int((~masks[name]).sum()) for name in group if name in masks) for group in groups]


def _turns(
    model: nn.Module, groups: Sequence[Sequence[str]], turns: Sequence[str] | str | Grouping | None
) -> list[int]:
    """Of each group the number of its turn, from 0."""
    if turns is None:
        return [0] * len(groups)
    if isinstance(turns, str) or callable(turns):
        _, grouping, _ = combination("dimap", grouping=turns).parts()
        parts = grouping(model)
    elif not isinstance(turns, Sequence) or sorted(map(str, turns)) != sorted(PRUNED_MODULES):
        raise ValueError(
            f"Give the modules {', '.join(PRUNED_MODULES)} in the order of their turns, or a grouping; got {turns!r}."
        )
    else:
        parts = [modules(model)[module] for module in turns]
    number = {name: turn for turn, part in enumerate(filter(None, parts)) for name in part}
    found = [{number.get(name) for name in group} for group in groups]
    if split := next((group for group, own in zip(groups, found) if len(own) > 1 or None in own), None):
        raise ValueError(
            f"The weights that compete with {split[0]} must have a turn, and have it together; give a finer grouping, "
            "such as 'by_module_and_stage' or 'by_layer', or other turns."
        )
    return [max(own, default=0) for own in found]
