"""ONNX files of a model, dense or compact, that run without this package, and are checked before they are kept."""

import copy
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from swinprune_lite.acceleration.comparing import check_depends
from swinprune_lite.anatomy.inputs import noise
from swinprune_lite.files import atomic, reason
from swinprune_lite.types import InputSize

TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}  # of the largest logit


def export_onnx(
    model: nn.Module,
    path: str | Path,
    batch: int = 1,
    input_size: InputSize | None = None,
    opset: int | None = None,
    dynamic: bool = False,
    atol: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> float:
    """Write the model as one ONNX file, "images" to "logits".

    The file is run in ONNX Runtime on images of noise, and must give the model's own logits.

    Args:
        model: in float32 on the CPU. Masks that it holds are zeros in the file.
        path: file to write.
        batch: images at a time.
        input_size: side, (height, width) or (channels, height, width) in pixels; None: the model's own.
        opset: version of ONNX's operators; None: the exporter's own choice.
        dynamic: whether the file takes any number of images; it is run on one and on `batch` + 1 too.
        atol: by how much a logit may differ; None: `TOLERANCE` times the largest.
        dtype: of the file's weights, images and logits, float32 or float16; float16 is compared with float32 too.

    Returns:
        The largest difference of a logit.

    Raises:
        ValueError: a batch below 1, a model in another precision, an input size that has to be given, a model whose
            logits are not finite or do not depend on the image (there would be nothing to compare), one that cannot be
            exported so, or a file whose logits differ.
    """
    kinds = {(weight.dtype, weight.device.type) for weight in model.parameters() if weight.is_floating_point()}
    if batch < 1 or kinds - {(torch.float32, "cpu")}:
        raise ValueError(
            "export_onnx takes a batch of 1 or more and a model in float32 on the CPU; got a batch of "
            f"{batch} and {', '.join(sorted(f'{dtype} on {device}' for dtype, device in kinds))}."
        )
    if dtype not in TOLERANCE:
        raise ValueError(f"An ONNX file is written in {' or '.join(map(str, TOLERANCE))}; got {dtype}.")
    images = noise(model, batch, input_size)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            # before it is written: a forward pass zeroes what masks hold, and torch's exporter does not
            own, other = model(images), model(-images)
        check_depends(torch.stack([own, other]), f"The logits of {type(model).__name__}")
        allowed = TOLERANCE[dtype] * own.abs().max().item() if atol is None else atol
        with atomic(path) as temporary:
            written = model if dtype == torch.float32 else copy.deepcopy(model).to(dtype)
            _write(written, images.to(dtype), temporary, opset, dynamic)
            difference = max(
                _difference(model, temporary, noise(model, count, input_size), dtype)
                for count in ([batch, 1, batch + 1] if dynamic else [batch])
            )
            if not difference <= allowed:
                raise ValueError(
                    f"ONNX Runtime's logits differ by {difference:.2g} from the model's, and {allowed:.2g} is allowed; "
                    "nothing was kept."
                )
    finally:
        model.train(was_training)
    return difference


@torch.inference_mode()
def _difference(model: nn.Module, path: Path, images: torch.Tensor, dtype: torch.dtype) -> float:
    """The largest, of a logit of the file and of the model."""
    found = session(path).run(["logits"], {"images": images.to(dtype).numpy()})[0]
    return float(np.abs(model(images).numpy() - found.astype(np.float32)).max())


def session(path: str | Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with so many threads (None: torch's number)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    # Threads that wait by spinning would take the cores from whatever runs beside this session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _write(model: nn.Module, images: torch.Tensor, path: Path, opset: int | None, dynamic: bool) -> None:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    shapes = ({0: torch.export.Dim("batch", min=1)},) if dynamic else None
    given = torch.cat([images, images]) if dynamic and len(images) == 1 else images  # of one the exporter makes a rule
    try:
        with warnings.catch_warnings():  # of torch's own exporter, about its own future
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (given,), path, dynamo=True, external_data=False, verbose=False, opset_version=opset,
                dynamic_shapes=shapes, input_names=["images"], output_names=["logits"],
            )  # fmt: skip
        if opset and (found := _opset(path)) != opset:
            raise ValueError(f"what the exporter writes is of opset {found}, and cannot be converted")
        session(path)
    except Exception as error:  # what exporters may raise
        how = f" with opset {opset}" if opset else ""
        raise ValueError(
            f"{type(model).__name__} cannot be written as ONNX{how}{' for any number of images' if dynamic else ''}: "
            f"{reason(error)}. Nothing was kept."
        ) from error
    finally:
        for each, level in zip(loggers, levels):
            each.setLevel(level)


def _opset(path: Path) -> int:
    """Of ONNX's own operators, what a file asks for."""
    return next(each.version for each in onnx.load(path, load_external_data=False).opset_import if not each.domain)
