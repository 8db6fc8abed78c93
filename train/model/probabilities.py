"""A saved network with probabilities for outputs, where training wants logits."""

from __future__ import annotations

import keras
from keras import layers, ops


def with_probabilities(model: keras.Model) -> keras.Model:
    """Returns a model that shares another's layers and ends in a softmax.

    Args:
        model: A functional model from one image to {output name: logits}.

    Returns:
        A functional model from the same input to {output name: probabilities}, float32 in [0, 1],
        shape (batch, classes) each.
    """
    taken = {layer.name for layer in model.layers}
    outputs = {}
    for output, logits in model.output.items():
        name = f"{output}_probabilities"
        while name in taken:  # an output may be called so
            name += "_"
        taken.add(name)
        if logits.shape[-1] == 1:  # Keras warns of a softmax of one class
            outputs[output] = ops.ones_like(logits)
        else:
            outputs[output] = layers.Softmax(name=name, dtype="float32")(logits)
    return keras.Model(model.input, outputs, name=model.name)
