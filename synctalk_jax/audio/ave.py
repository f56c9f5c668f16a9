"""The AVE encoder: 200 ms of mel spectrogram to 512 numbers.

The structure is that of SyncTalk's audio-visual encoder (Peng et al., CVPR
2024), which in turn is Wav2Lip's audio tower, so that its published weights
fit; 2,812,672 parameters at the default width.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

FEATURE_DIM = 512

_SAME = ((1, 1), (1, 1))
_NONE = ((0, 0), (0, 0))
# (channels in units of the width, kernel, strides, padding, residual)
_LAYERS = (
  (1, 3, (1, 1), _SAME, False),
  (1, 3, (1, 1), _SAME, True),
  (1, 3, (1, 1), _SAME, True),
  (2, 3, (3, 1), _SAME, False),
  (2, 3, (1, 1), _SAME, True),
  (2, 3, (1, 1), _SAME, True),
  (4, 3, (3, 3), _SAME, False),
  (4, 3, (1, 1), _SAME, True),
  (4, 3, (1, 1), _SAME, True),
  (8, 3, (3, 2), _SAME, False),
  (8, 3, (1, 1), _SAME, True),
  (16, 3, (1, 1), _NONE, False),
)


class AveEncoder(nn.Module):
  """Encodes mel windows.

  Attributes:
    width: channels of the first layer; 32 is the published encoder. The
      output has 512 numbers at any width.
    dtype: computation type; parameters and statistics stay float32.
  """

  width: int = 32
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, mel: jax.Array, *, train: bool) -> jax.Array:
    """Encodes a batch.

    Args:
      mel: [B, 16, 80] float32 in [-4, 4], time then bins.
      train: whether BatchNorm uses the batch's own statistics.

    Returns:
      [B, 512] of `dtype`, non-negative.
    """
    x = jnp.swapaxes(mel, 1, 2)[..., None].astype(self.dtype)
    for multiple, kernel, strides, padding, residual in _LAYERS:
      y = self._conv(multiple * self.width, kernel, strides, padding, x, train)
      x = nn.relu(y + x if residual else y)
    x = nn.relu(self._conv(FEATURE_DIM, 1, (1, 1), _NONE, x, train))
    return x.reshape(x.shape[0], FEATURE_DIM)

  def _conv(self, features, kernel, strides, padding, x, train):
    x = nn.Conv(
      features, (kernel, kernel), strides, padding=padding, dtype=self.dtype
    )(x)
    return nn.BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      epsilon=1e-5,
      dtype=self.dtype,
    )(x)
