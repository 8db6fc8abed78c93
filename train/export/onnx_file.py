"""An ONNX file: named input and outputs, a batch of any size, the description in its metadata."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from train.export.description import INPUT, ONNX_KEY
from train.export.saved_model import endpoint

_OPSET = 18  # the newest that tf2onnx 1.17 writes
_BATCH = "batch"


def write(model: keras.Model, path: str, description: str) -> None:
    """Writes a model."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    serve, signature = endpoint(model)
    content, _ = tf2onnx.convert.from_function(
        tf.function(serve, input_signature=signature),
        input_signature=signature,
        opset=_OPSET,
        custom_op_handlers={"Erfc": (_write_erfc, [])},
    )
    graph = content.graph
    by_name = {output.name: output for output in graph.output}
    ordered = [by_name[name] for name in model.output]  # tf2onnx sorts them
    del graph.output[:]
    graph.output.extend(ordered)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
    content.metadata_props.add(key=ONNX_KEY, value=description)
    onnx.checker.check_model(content, full_check=True)
    onnx.save(content, path)


def _write_erfc(context: Any, node: Any, name: str, arguments: list[Any]) -> Any:
    """Writes 1 - erf(x): TensorFlow's exact GELU needs erfc, which neither tf2onnx nor ONNX has."""
    one = context.make_const(f"{name}_one", np.array(1, np.float32)).output[0]
    inputs, outputs = list(node.input), list(node.output)
    context.remove_node(node.name)
    erf = context.make_node("Erf", inputs).output[0]
    return context.make_node("Sub", [one, erf], outputs=outputs, name=name)


def open_runner(path: str, outputs: list[str]) -> Any:
    """Opens a file in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: Any) -> Any:
        return dict(zip(outputs, session.run(outputs, {INPUT: images}), strict=True))

    return run


def runtime() -> str:
    """Returns the runtime's name and version."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"
