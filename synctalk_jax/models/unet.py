"""The U-Net that draws the lower face.

At 328 pixels and width 64 the levels are 328-164-82-41-20-10-5 with
64-128-256-512-1024-1024-1024 channels. Audio meets the picture once, at 5x5,
element by element: a scale and a shift for every number.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from synctalk_jax.models.audio_branch import AudioBranch
from synctalk_jax.models.blocks import ConvBlock, UpBlock, max_pool

# Pixels at each side of the crop that are not drawn but kept for blending.
BORDER = 4
_BOTTLENECK = 5
_MAX_MULTIPLE = 16


def level_sizes(crop_size: int) -> tuple[int, ...]:
  """The side of each level: halved, rounding down, until it is 5.

  Args:
    crop_size: side of the input in pixels.

  Returns:
    The sides, largest first, 5 last: (328, 164, 82, 41, 20, 10, 5) for 328.

  Raises:
    ValueError: halving does not end at 5.
  """
  sizes = [crop_size]
  while sizes[-1] > _BOTTLENECK:
    sizes.append(sizes[-1] // 2)
  if sizes[-1] != _BOTTLENECK or len(sizes) < 3:
    raise ValueError(
      f"crop size {crop_size} does not halve to {_BOTTLENECK} in two or more "
      "steps; choose one of 80-95, 160-191, 320-383 or 640-767, such as 328 or "
      "168"
    )
  return tuple(sizes)


class UNet(nn.Module):
  """Masked crop and audio features in, face out.

  Attributes:
    width: channels of the first level; each level doubles them, up to 16
      times the width. 64 is the full network.
    dtype: computation type; parameters, statistics and the result stay
      float32.
  """

  width: int = 64
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, image: jax.Array, audio: jax.Array, *, train: bool
  ) -> jax.Array:
    """Draws a batch of faces.

    Args:
      image: [B, S, S, 6] float32 in [0, 1]: RGB with the lower face masked,
        then RGB with all but a rim masked.
      audio: [B, 16, D] feature rows.
      train: whether BatchNorm uses the batch's own statistics.

    Returns:
      [B, S - 8, S - 8, 3] float32 in [0, 1], RGB: the inner part of the crop.
    """
    sizes = level_sizes(image.shape[1])
    channels = [
      self.width * min(2**i, _MAX_MULTIPLE) for i in range(len(sizes))
    ]
    x = image.astype(self.dtype)
    skips = []
    for level, features in enumerate(channels):
      if level:
        x = max_pool(x)
      x = self._double_conv(features, x, train)
      skips.append(x)
    x = self._fuse(skips.pop(), audio, train)
    for level in reversed(range(len(skips))):
      up = UpBlock(channels[level], sizes[level], self.dtype)(x, train=train)
      x = jnp.concatenate([up, skips[level]], axis=-1)
      x = self._double_conv(channels[level], x, train)
    x = nn.Conv(3, (1, 1), dtype=jnp.float32)(x.astype(jnp.float32))
    return nn.sigmoid(x[:, BORDER:-BORDER, BORDER:-BORDER])

  def _double_conv(self, features, x, train):
    for _ in range(2):
      x = ConvBlock(features, dtype=self.dtype)(x, train=train)
    return x

  def _fuse(self, x, audio, train):
    features = x.shape[-1]
    audio = AudioBranch(features, self.width, self.dtype)(audio, train=train)
    modulation = nn.Conv(2 * features, (1, 1), dtype=self.dtype)(audio)
    scale, shift = jnp.split(modulation, 2, axis=-1)
    return self._double_conv(features, x * (1 + scale) + shift, train)
