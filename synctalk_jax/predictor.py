"""A trained network as a function of numpy arrays."""

import jax
import jax.numpy as jnp
import numpy as np

from synctalk_jax import network
from synctalk_jax.checkpoint import restore_for_inference
from synctalk_jax.config import compute_dtype
from synctalk_jax.run_folder import Run
from synctalk_jax.train_step import make_predict


def to_uint8(face: jax.Array) -> jax.Array:
  """[0, 1] float32 -> uint8, to the nearest."""
  return jnp.rint(face * 255.0).astype(jnp.uint8)


class Predictor:
  """Draws faces in batches of one size, so that XLA compiles once.

  Attributes:
    step: training step of the weights.
    face_size: side of a drawn face in pixels.
  """

  def __init__(self, run: Run, batch_size: int):
    """Loads the newest averaged weights.

    Args:
      run: from `run_folder.load`.
      batch_size: faces per call of the device.

    Raises:
      InputError: the run has no checkpoint.
    """
    self.step, self._variables = restore_for_inference(run)
    self.batch_size = batch_size
    self.face_size = network.face_size(run.spec)
    predict = make_predict(
      network.build(run.spec, compute_dtype(run.config["model.dtype"]))
    )
    self._predict = jax.jit(lambda *inputs: to_uint8(predict(*inputs)))

  def draw(
    self, crop: np.ndarray, audio: np.ndarray, audio_starts: np.ndarray
  ) -> np.ndarray:
    """Draws up to `batch_size` faces.

    Args:
      crop: [B, S, S, 3] uint8, RGB, B <= batch_size.
      audio: [B, A, F] float32.
      audio_starts: [B, R] int32.

    Returns:
      [B, S - 8, S - 8, 3] uint8, RGB.
    """
    count = len(crop)
    inputs = [
      _filled(array, self.batch_size) for array in (crop, audio, audio_starts)
    ]
    return np.asarray(self._predict(self._variables, *inputs))[:count]


def _filled(array: np.ndarray, size: int) -> np.ndarray:
  """Repeats the last entry up to `size` entries."""
  missing = size - len(array)
  if not missing:
    return array
  return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
