"""What a batch and a classifier's answer to it must look like; what they are not is said in one sentence."""

from collections.abc import Iterable, Iterator, Sized

import torch
from torch import nn
from torch.utils.data import DataLoader

from swinprune_lite.files import reason
from swinprune_lite.pruning.importance import check_loaded
from swinprune_lite.training.memory import is_out_of_memory
from swinprune_lite.training.surroundings import in_evaluation

Batch = tuple[torch.Tensor, torch.Tensor]


def pairs(batches: Iterable[Batch], probabilities: bool = False) -> Iterator[Batch]:
    """The batches, each checked when it is its turn.

    Args:
        batches: of images (B, C, H, W) and classes (B,), in whole numbers of any type.
        probabilities: whether floating-point targets (B, classes) may stand in the classes' place.

    Raises:
        TypeError: not an iterable.
        ValueError: a batch that is not such a pair.
    """
    if not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
        raise TypeError(f"Batches must be an iterable of pairs of images and classes; got a {type(batches).__name__}.")
    for batch in batches:
        yield check_pair(batch, probabilities)


def check_pair(batch: object, probabilities: bool = False) -> Batch:
    """One batch, see `pairs`; its classes as int64."""
    if not (isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(x, torch.Tensor) for x in batch)):
        held = f" of {', '.join(_words(part) for part in batch)[:120]}" if isinstance(batch, (tuple, list)) else ""
        raise ValueError(
            "Each batch must be a pair of two tensors, images (B, C, H, W) and classes (B,); got "
            f"{_words(batch)}{held}. Give an iterable of such pairs; a single one as [(images, classes)]."
        )
    images, classes = batch
    kind = classes.dtype
    if probabilities and classes.ndim == 2 and kind.is_floating_point:
        allowed = True
    else:
        allowed = classes.ndim == 1 and not (kind.is_floating_point or kind.is_complex or kind == torch.bool)
    if not allowed:
        also = ", or probabilities (B, classes) in floating point" if probabilities else ""
        raise ValueError(
            f"The classes of a batch must be whole numbers (B,){also}; got {_words(classes)}. Convert them, for "
            "instance with classes.long(), or one-hot rows with classes.argmax(1)."
        )
    if images.ndim < 2 or len(images) != len(classes):
        raise ValueError(f"A batch must have one class an image; got {_words(images)} and {_words(classes)}.")
    return images, classes if kind.is_floating_point else classes.long()


def check_weights(model: nn.Module) -> nn.Parameter:
    """The model's first parameter, whose device and type the images get.

    Raises:
        ValueError: it has none, or they are on the meta device, without values.
    """
    first = next(model.parameters(), None)
    if first is None:
        raise ValueError(f"The {type(model).__name__} has no parameters; give a model with weights.")
    for name, parameter in model.named_parameters():
        check_loaded(name, parameter)
    return first


def check_trainable(model: nn.Module) -> nn.Parameter:
    """The model's first parameter, see `check_weights`.

    Raises:
        ValueError: no weight can be trained, or they are of several types, in which the model could not come back.
    """
    first, weights = check_weights(model), list(model.parameters())
    if not any(weight.requires_grad for weight in weights):
        raise ValueError("All weights of the model are frozen; set requires_grad of those that are to be trained.")
    if any(weight.is_inference() for weight in weights):
        raise ValueError("The model was made under torch.inference_mode, so it cannot be trained; make it outside.")
    if len(kinds := {str(weight.dtype).removeprefix("torch.") for weight in weights}) > 1:
        raise ValueError(f"The model's weights are of several types, {', '.join(sorted(kinds))}; convert it to one.")
    return first


def check_logits(logits: object, images: int) -> int:
    """The number of classes that a model tells apart.

    Args:
        logits: what it gave.
        images: that it was given.

    Raises:
        ValueError: not a tensor (images, classes) with two classes or more.
    """
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != images:
        raise ValueError(
            f"The model must give logits (B, classes), one row an image; for {images} image(s) it gave "
            f"{_words(logits)}. Wrap it so that its forward returns the logits alone."
        )
    if logits.shape[1] < 2:
        raise ValueError(
            f"The model tells {logits.shape[1]} class(es) apart, so no prediction of it can be right or wrong; "
            "give a classifier of two classes or more."
        )
    return logits.shape[1]


def check_range(targets: torch.Tensor, count: int) -> None:
    """Raise ValueError unless every target fits a model of so many classes.

    Args:
        targets: int64 classes (B,), or probabilities (B, classes).
        count: logits an image.
    """
    if targets.ndim == 2 and targets.shape[1] != count:
        raise ValueError(
            f"The targets are probabilities of {targets.shape[1]} classes and the model gives {count} logits; they "
            "must be as many."
        )
    wrong = targets[(targets < 0) | (targets >= count)] if targets.ndim == 1 else ()
    if len(wrong):
        raise ValueError(
            f"Class {int(wrong[0])} is none of the model's: it gives {count} logits, for classes 0 to {count - 1}. "
            "Number the classes as the model does, or take a model that has them all."
        )


def run(model: nn.Module, images: torch.Tensor) -> object:
    """What a model gives for images, in its own type and on its own device.

    Raises:
        ValueError: it does not take them; what it said is in the sentence.
    """
    try:
        return model(images)
    except Exception as error:  # whatever a model may raise
        if is_out_of_memory(error):
            raise
        raise ValueError(
            f"{type(model).__name__} does not run on images of shape {tuple(images.shape)} ({reason(error)}); give "
            "such as it takes."
        ) from error


def outputs(model: nn.Module, batch: Batch) -> int:
    """The number of logits that the model gives an image, by its answer to the first one of a batch.

    Raises:
        ValueError: the batch is no pair or empty, or the model's answer is not logits.
    """
    images, _ = _not_empty(check_pair(batch, probabilities=True))
    weight = check_weights(model)
    with torch.no_grad(), in_evaluation(model):
        return check_logits(model(images[:1].to(weight.device, weight.dtype)), 1)


def check_training_batch(batch: Batch, count: int, mixed: bool) -> Batch:
    """A batch that can be trained on, see `check_pair`; autograd may keep it.

    Args:
        batch: images and classes, or probabilities.
        count: logits of the model.
        mixed: whether the batch is going to be mixed within itself.

    Raises:
        ValueError: it is no such pair, is empty, does not go with the model, or cannot be mixed.
    """
    images, targets = _not_empty(check_pair(batch, probabilities=True))
    if mixed and targets.ndim == 2:
        raise ValueError("Mixup and cutmix need classes (B,), and the batches hold probabilities; set both to 0.")
    if mixed:
        _require_even(len(images))
    check_range(targets, count)
    return tuple(part.clone() if part.is_inference() else part for part in (images, targets))


def check_ahead(model: nn.Module, batches: Iterable[Batch], mixed: bool, processes: int) -> None:
    """Check what can be known of batches without drawing one: all of a list, otherwise their sizes.

    Args:
        model: that will be trained on them.
        batches: with a length.
        mixed: whether each is going to be mixed within itself.
        processes: that share them.

    Raises:
        TypeError: batches without a length.
        ValueError: fewer batches than processes, or as `check_training_batch`.
    """
    if not hasattr(batches, "__len__"):
        raise TypeError(
            f"Batches must have a length and be iterable once an epoch, and a {type(batches).__name__} has none; give "
            "a list or a DataLoader."
        )
    if len(batches) < processes:
        raise ValueError(
            f"There is nothing to fine-tune on: there are fewer batches ({len(batches)}) than processes ({processes})."
        )
    if isinstance(batches, (list, tuple)):
        count = outputs(model, batches[0])
        for batch in batches:
            check_training_batch(batch, count, mixed)
    elif mixed and isinstance(size := getattr(batches, "batch_size", None), int):
        total = getattr(batches, "images", 0)
        if isinstance(batches, DataLoader) and not batches.drop_last and isinstance(batches.sampler, Sized):
            total = len(batches.sampler) if processes == 1 else 0
        _require_even(size)
        _require_even(total % size)


def _not_empty(batch: Batch) -> Batch:
    if not len(batch[0]):
        raise ValueError("A batch holds no images, so there is nothing to learn from it; leave empty batches out.")
    return batch


def _require_even(images: int) -> None:
    if images % 2:
        raise ValueError(
            f"Mixup and cutmix mix a batch within itself, so it must hold an even number of images; one holds {images}."
            " Take an even batch size, drop a last batch that is odd, or set mixup and cutmix to 0."
        )


def _words(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"
