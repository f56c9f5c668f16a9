"""The blocks that the networks are made of."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class ConvBlock(nn.Module):
  """3x3 convolution, BatchNorm, ReLU.

  Attributes:
    features: output channels.
    strides: of the convolution, rows and columns.
    padding: of the convolution; 1 keeps the size at stride 1.
    dtype: computation type; parameters and statistics stay float32.
  """

  features: int
  strides: Sequence[int] = (1, 1)
  padding: int = 1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """[B, H, W, C] -> [B, H', W', features]."""
    pad = (self.padding, self.padding)
    # No bias: BatchNorm takes the mean away again.
    x = nn.Conv(
      self.features,
      (3, 3),
      self.strides,
      padding=(pad, pad),
      use_bias=False,
      dtype=self.dtype,
    )(x)
    return nn.relu(batch_norm(self.dtype, train)(x))


class UpBlock(nn.Module):
  """Transposed convolution that doubles the size, BatchNorm, ReLU.

  Attributes:
    features: output channels.
    size: output height and width: 2 s or 2 s + 1 for an input of s.
    dtype: computation type; parameters and statistics stay float32.
  """

  features: int
  size: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """[B, s, s, C] -> [B, size, size, features]."""
    extra = self.size - 2 * x.shape[1]
    if extra not in (0, 1):
      raise ValueError(
        f"cannot double {x.shape[1]} to {self.size}; expected "
        f"{2 * x.shape[1]} or {2 * x.shape[1] + 1}"
      )
    # Stride 2 without padding gives 2 (s - 1) + side.
    side = 2 + extra
    kernel = self.param(
      "kernel",
      nn.initializers.lecun_normal(),
      (side, side, x.shape[-1], self.features),
      jnp.float32,
    )
    x = double(x, kernel.astype(self.dtype))
    return nn.relu(batch_norm(self.dtype, train)(x))


def double(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Transposed convolution of stride 2 without padding.

  Written as a matrix product whose rows are laid out in space: XLA's own
  gradient of a transposed convolution is over ten times slower on a CPU.

  Args:
    x: [B, H, W, C].
    kernel: [k, k, C, F], k = 2 or 3; `kernel[i, j]` is what a pixel adds at
      row 2 y + i and column 2 x + j, as in PyTorch.

  Returns:
    [B, 2 H - 2 + k, 2 W - 2 + k, F].
  """
  if kernel.shape[0] == 2:
    return _interleave(x, kernel)
  # The third row and column fall on the next pixel's first: four products of
  # 2x2 kernels, shifted by two pixels, on a grid that is one too large.
  kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
  padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  height, width = x.shape[1] + 1, x.shape[2] + 1
  grid = sum(
    _interleave(
      padded[:, 1 - i : 1 - i + height, 1 - j : 1 - j + width],
      kernel[2 * i : 2 * i + 2, 2 * j : 2 * j + 2],
    )
    for i in range(2)
    for j in range(2)
  )
  return grid[:, :-1, :-1]


def _interleave(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """`double` for a 2x2 kernel: no two pixels meet."""
  batch, height, width, _ = x.shape
  pixels = jnp.einsum("bhwc,ijcf->bhiwjf", x, kernel)
  return pixels.reshape(batch, 2 * height, 2 * width, -1)


def max_pool(x: jax.Array) -> jax.Array:
  """The largest of each 2x2 pixels; an odd last row or column is left out.

  A maximum of four slices: XLA's gradient of a pooling window is twenty times
  slower on a CPU.

  Args:
    x: [B, H, W, C].

  Returns:
    [B, H // 2, W // 2, C].
  """
  x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
  upper = jnp.maximum(x[:, ::2, ::2], x[:, ::2, 1::2])
  lower = jnp.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2])
  return jnp.maximum(upper, lower)


def batch_norm(dtype: Any, train: bool) -> nn.BatchNorm:
  """PyTorch's defaults; under jit the statistics are the global batch's."""
  return nn.BatchNorm(
    use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype
  )
