"""ONNX files of a model, dense or compact, that run without this package, and are checked before they are kept."""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from swinprune_lite.acceleration.comparing import check_depends
from swinprune_lite.anatomy.inputs import noise
from swinprune_lite.files import atomic
from swinprune_lite.types import InputSize

TOLERANCE = 1e-4  # of the largest logit


def export_onnx(model: nn.Module, path: str | Path, batch: int = 1, input_size: InputSize | None = None) -> None:
    """Write the model as one ONNX file for a fixed number of images, "images" to "logits".

    The file is run in ONNX Runtime on an image of noise, and must give the model's own logits.

    Args:
        model: in float32 on the CPU. Masks that it holds are zeros in the file.
        path: file to write.
        batch: images at a time.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.

    Raises:
        ValueError: a batch below 1, a model in another precision, an input size that has to be given, a model whose
            logits are not finite or do not depend on the image (there would be nothing to compare), or a file
            whose logits differ.
    """
    kinds = {(weight.dtype, weight.device.type) for weight in model.parameters() if weight.is_floating_point()}
    if batch < 1 or kinds - {(torch.float32, "cpu")}:
        raise ValueError(
            "export_onnx takes a batch of 1 or more and a model in float32 on the CPU; got a batch of "
            f"{batch} and {', '.join(sorted(f'{dtype} on {device}' for dtype, device in kinds))}."
        )
    images = noise(model, batch, input_size)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            # before it is written: a forward pass zeroes what masks hold, and torch's exporter does not
            own, other = model(images), model(-images)
        check_depends(torch.stack([own, other]), f"The logits of {type(model).__name__}")
        own = own.numpy()
        with atomic(path) as temporary:
            _write(model, images, temporary)
            found = session(temporary).run(["logits"], {"images": images.numpy()})[0]
            difference = np.abs(own - found).max()
            if not difference <= TOLERANCE * np.abs(own).max():
                raise ValueError(
                    f"ONNX Runtime's logits differ by {difference:.2g} from the model's; nothing was kept."
                )
    finally:
        model.train(was_training)


def session(path: str | Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with so many threads (None: torch's number)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    # Threads that wait by spinning would take the cores from whatever runs beside this session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _write(model: nn.Module, images: torch.Tensor, path: Path) -> None:
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():  # of torch's own exporter, about its own future
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (images,), path, dynamo=True, external_data=False, verbose=False,
                input_names=["images"], output_names=["logits"],
            )  # fmt: skip
    finally:
        exporter.setLevel(level)
