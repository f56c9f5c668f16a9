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
    # Stride 2 without padding gives 2 (s - 1) + kernel.
    kernel = 2 + extra
    x = nn.ConvTranspose(
      self.features,
      (kernel, kernel),
      (2, 2),
      padding="VALID",
      use_bias=False,
      dtype=self.dtype,
    )(x)
    return nn.relu(batch_norm(self.dtype, train)(x))


def batch_norm(dtype: Any, train: bool) -> nn.BatchNorm:
  """PyTorch's defaults; under jit the statistics are the global batch's."""
  return nn.BatchNorm(
    use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype
  )
