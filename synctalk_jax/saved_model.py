"""A trained network as a SavedModel: weights, three signatures, metadata.

serving_default  crop, audio, audio_starts -> face, uint8
predict_float    the same inputs           -> face, float32 in [0, 1]
encode_audio     samples, int16 at 16 kHz  -> stream, what `audio` is cut from
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
import tensorflow as tf
from jax.experimental import jax2tf

from synctalk_jax import network
from synctalk_jax.audio.mel import mel_in_graph
from synctalk_jax.predictor import to_uint8
from synctalk_jax.train_step import make_predict

PLATFORMS = ("cpu", "cuda", "tpu")
_INPUTS = ("crop", "audio", "audio_starts")


def write(
  folder: Path, spec: network.NetworkSpec, variables: Any
) -> dict[str, Any]:
  """Writes a SavedModel that takes any batch size and any length of audio.

  Args:
    folder: where it goes; created.
    spec: the network's sizes.
    variables: the network's variables, arrays on any device.

  Returns:
    What decides who can read it, in JSON types: `versions` of the writing
    packages, and `programs`: by signature the XLA program's
    `calling_convention`, its `platforms` and the `stablehlo` version it is
    serialised as.
  """
  # JAX holds the GPU's memory where there is one; writing needs none.
  tf.config.set_visible_devices([], "GPU")
  weights = jax.tree.map(
    lambda x: tf.Variable(np.asarray(x), trainable=False), variables
  )
  module = tf.Module()
  # What the functions read is saved only if the module holds it.
  module.weights = weights
  concrete = {
    name: function.get_concrete_function()
    for name, function in _signatures(spec, weights).items()
  }
  tf.saved_model.save(
    module,
    str(folder),
    signatures=concrete,
    options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
  )
  return {
    "versions": {
      "jax": jax.__version__,
      "jaxlib": jaxlib.__version__,
      "tensorflow": tf.__version__,
    },
    "programs": {name: _stored_as(f) for name, f in concrete.items()},
  }


def _signatures(spec: network.NetworkSpec, weights: Any) -> dict[str, Any]:
  predict = make_predict(network.build(spec))

  def predict_uint8(*inputs: Any) -> jax.Array:
    return to_uint8(predict(*inputs))

  def face_signature(function: Callable[..., jax.Array]) -> Any:
    return _face_signature(spec, weights, function)

  return {
    "serving_default": face_signature(predict_uint8),
    "predict_float": face_signature(predict),
    "encode_audio": _audio_signature(),
  }


def _face_signature(
  spec: network.NetworkSpec, weights: Any, function: Callable[..., jax.Array]
) -> Any:
  examples = network.example_inputs(spec, 1)
  shapes = [f"(b, {', '.join(map(str, x.shape[1:]))})" for x in examples]
  converted = _convert(function, [None, *shapes])

  def face(crop, audio, audio_starts):
    return {"face": converted(weights, crop, audio, audio_starts)}

  return tf.function(
    face,
    autograph=False,
    input_signature=[
      tf.TensorSpec([None, *x.shape[1:]], x.dtype, name)
      for x, name in zip(examples, _INPUTS, strict=True)
    ],
  )


def _audio_signature() -> Any:
  converted = _convert(mel_in_graph, ["(n,)"])

  def encode_audio(samples):
    return {"stream": converted(samples)}

  return tf.function(
    encode_audio,
    autograph=False,
    input_signature=[tf.TensorSpec([None], tf.int16, "samples")],
  )


def _convert(function: Callable[..., jax.Array], shapes: list) -> Any:
  return jax2tf.convert(
    function,
    polymorphic_shapes=shapes,
    with_gradient=False,
    native_serialization_platforms=PLATFORMS,
  )


def _stored_as(function: Any) -> dict[str, Any]:
  (node,) = (
    node
    for node in function.graph.as_graph_def().node
    if node.op == "XlaCallModule"
  )
  version = re.search(rb"StableHLO_v([\d.]+)", node.attr["module"].s)
  return {
    "calling_convention": node.attr["version"].i,
    "platforms": [p.decode() for p in node.attr["platforms"].list.s],
    "stablehlo": version[1].decode() if version else None,
  }
