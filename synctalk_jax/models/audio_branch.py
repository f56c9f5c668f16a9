"""A window of audio features to the map that meets the picture."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from synctalk_jax.models.blocks import ConvBlock

# (channels, height, width) that a window of 16 feature rows is reshaped to,
# by the numbers a row has: AVE, HuBERT, WeNet.
MAP_SHAPES = {
  512: (32, 16, 16),
  2_048: (32, 32, 32),
  8_192: (256, 16, 32),
}


def feature_map(rows: jax.Array) -> jax.Array:
  """Lays a window out as an image.

  Row-major over frames, then features, channels first, as PyTorch models of
  this family do; channels move last only then, so that their weights fit.

  Args:
    rows: [B, 16, D], D a key of `MAP_SHAPES`.

  Returns:
    [B, height, width, channels], the dtype of `rows`.

  Raises:
    ValueError: no map is known for D numbers a row.
  """
  batch, num_rows, dim = rows.shape
  shape = MAP_SHAPES.get(dim)
  if shape is None or num_rows * dim != math.prod(shape):
    raise ValueError(
      f"audio window is {num_rows} rows of {dim} numbers; expected 16 rows of "
      f"one of {sorted(MAP_SHAPES)}"
    )
  return jnp.transpose(rows.reshape(batch, *shape), (0, 2, 3, 1))


class AudioBranch(nn.Module):
  """Convolutions from the feature map to 5x5.

  Attributes:
    features: output channels.
    width: channels of the first block; later ones have 2, 4 and 8 times it.
    dtype: computation type; parameters and statistics stay float32.
  """

  features: int
  width: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, rows: jax.Array, *, train: bool) -> jax.Array:
    """[B, 16, D] feature rows -> [B, 5, 5, features]."""
    x = feature_map(rows).astype(self.dtype)
    _, height, width, _ = x.shape
    blocks = (
      # Each map becomes 16x16 here, whatever its encoder.
      ConvBlock(self.width, (height // 16, width // 16), dtype=self.dtype),
      ConvBlock(2 * self.width, dtype=self.dtype),
      # (16 - 3) // 3 + 1 = 5.
      ConvBlock(4 * self.width, (3, 3), padding=0, dtype=self.dtype),
      ConvBlock(8 * self.width, dtype=self.dtype),
      ConvBlock(self.features, dtype=self.dtype),
    )
    for block in blocks:
      x = block(x, train=train)
    return x
