"""The whole network: audio encoder and U-Net, one function of two inputs."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from synctalk_jax.audio.ave import AveEncoder
from synctalk_jax.audio.windows import window_shape
from synctalk_jax.masking import kept_share, network_input
from synctalk_jax.models.unet import BORDER, UNet, level_sizes

MODELS = ("unet",)


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
  """Everything that fixes the network's shapes; stored in the checkpoint.

  Attributes:
    model: one of `MODELS`.
    width: channels of the U-Net's first level.
    crop_size: side of the input crop in pixels.
    audio_width: channels of the AVE encoder's first layer.
    audio: the audio spec, from `audio.features.audio_spec`.
  """

  model: str
  width: int
  crop_size: int
  audio_width: int
  audio: dict[str, Any]

  @property
  def window_shape(self) -> tuple[int, int, int]:
    """(A, F, R): slice rows, stream width, feature rows of a window."""
    return window_shape(self.audio)


class TalkingFace(nn.Module):
  """From a crop and the audio around it to the face that says it.

  Attributes:
    width: channels of the U-Net's first level.
    audio_width: channels of the AVE encoder's first layer.
    row_length: stream rows that make one feature row.
    dtype: computation type; parameters and statistics stay float32.
  """

  width: int
  audio_width: int
  row_length: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    crop: jax.Array,
    audio: jax.Array,
    audio_starts: jax.Array,
    *,
    train: bool = False,
  ) -> jax.Array:
    """Draws a batch of faces.

    Args:
      crop: [B, S, S, 3] uint8, RGB; what it shows of the lower face is not
        looked at.
      audio: [B, A, F] float32 slices of the encoder's stream.
      audio_starts: [B, R] int32, where in its slice each row starts.
      train: whether BatchNorm uses the batch's own statistics.

    Returns:
      [B, S - 8, S - 8, 3] float32 in [0, 1], RGB: the masked part drawn, the
      rest as it was filmed.
    """
    rows = gather_rows(audio, audio_starts, self.row_length)
    batch, num_rows = rows.shape[:2]
    features = AveEncoder(self.audio_width, self.dtype, name="ave")(
      rows.reshape(batch * num_rows, *rows.shape[2:]), train=train
    )
    image = network_input(crop)
    drawn = UNet(self.width, self.dtype, name="unet")(
      image, features.reshape(batch, num_rows, -1), train=train
    )
    inner = slice(BORDER, -BORDER)
    kept = kept_share(crop.shape[1])[inner]
    return drawn + kept * (image[:, inner, inner, :3] - drawn)


def gather_rows(
  window: jax.Array, starts: jax.Array, row_length: int
) -> jax.Array:
  """Spreads slices into the rows that an encoder reads.

  Args:
    window: [B, A, F] slices.
    starts: [B, R] int32, in [0, A - row_length].
    row_length: stream rows of a feature row.

  Returns:
    [B, R, row_length, F], the dtype of `window`.
  """
  indices = starts[:, :, None] + jnp.arange(row_length)
  return jax.vmap(lambda rows, index: rows[index])(window, indices)


def build(spec: NetworkSpec, dtype: Any = jnp.float32) -> TalkingFace:
  """Builds the network of a spec.

  Args:
    spec: sizes and audio.
    dtype: computation type.

  Returns:
    The module.

  Raises:
    ValueError: the crop size does not halve to 5.
  """
  level_sizes(spec.crop_size)
  return TalkingFace(
    spec.width, spec.audio_width, spec.audio["row_length"], dtype
  )


def init_variables(spec: NetworkSpec, seed: int) -> dict[str, Any]:
  """Draws a network's variables; traceable.

  Args:
    spec: sizes and audio.
    seed: of the random weights.

  Returns:
    {"params": ..., "batch_stats": ...}, float32.
  """
  inputs = [jnp.zeros(x.shape, x.dtype) for x in example_inputs(spec, 1)]
  variables = build(spec).init(jax.random.key(seed), *inputs, train=True)
  return {name: variables[name] for name in ("params", "batch_stats")}


def face_size(spec: NetworkSpec) -> int:
  """Side of the drawn face in pixels: the crop without its border."""
  return spec.crop_size - 2 * BORDER


def example_inputs(spec: NetworkSpec, batch: int) -> tuple[Any, ...]:
  """Abstract inputs of `TalkingFace`: crop, audio, audio_starts."""
  length, dim, num_rows = spec.window_shape
  size = spec.crop_size
  return (
    jax.ShapeDtypeStruct((batch, size, size, 3), jnp.uint8),
    jax.ShapeDtypeStruct((batch, length, dim), jnp.float32),
    jax.ShapeDtypeStruct((batch, num_rows), jnp.int32),
  )
