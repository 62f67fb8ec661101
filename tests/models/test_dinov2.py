"""DINOv2 from the wheel: the same numbers as the ONNX file it came from, and clear words for any other file."""


import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from swinprune_lite.models.dinov2 import load_dinov2, read_onnx, wheel_path

LAST_NORM = "/backbone/layernorm/Add_1_output_0"

fetched = pytest.mark.skipif(
    not wheel_path().is_file(),
    reason="The wheel is not there; 'python -m swinprune_lite.cli.fetch_dinov2' fetches it.",
)


@fetched
def test_the_last_norm_gives_what_onnx_runtime_gives():
    graph = onnx.load_model_from_string(read_onnx(wheel_path()))
    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(LAST_NORM, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    (expected,) = session.run([LAST_NORM], {"input_image": images.numpy()})
    with torch.inference_mode():
        found = load_dinov2(image_size=224).forward_features(images).numpy()
    assert found.shape == expected.shape == (1, 1 + 16**2, 384)
    assert expected.std() > 1
    assert np.abs(found - expected).max() < 1e-3
