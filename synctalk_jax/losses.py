"""What training makes small."""

import jax
import jax.numpy as jnp

from synctalk_jax.models.unet import BORDER
from synctalk_jax.mouth import mouth_mask


def target_of(crop: jax.Array) -> jax.Array:
  """The part of a crop that the network draws.

  Args:
    crop: [B, S, S, 3] uint8.

  Returns:
    [B, S - 8, S - 8, 3] float32 in [0, 1].
  """
  inner = crop[:, BORDER:-BORDER, BORDER:-BORDER]
  return inner.astype(jnp.float32) / 255.0


def pixel_loss(
  prediction: jax.Array,
  target: jax.Array,
  landmarks: jax.Array,
  *,
  kind: str,
  mouth_weight: float,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Pixel differences, those at the mouth counted more.

  The mouth is some 6 % of the crop: unweighted, a network does well that
  leaves it blurred.

  Args:
    prediction: [B, N, N, 3] float32 in [0, 1].
    target: the same.
    landmarks: [B, 478, 2] float32, pixels of the crop, border included.
    kind: "l1" or "l2".
    mouth_weight: added to the weight 1 of the pixels around the lips.

  Returns:
    The scalar loss, a weighted mean, and its parts: `pixel`, the plain mean,
    and `mouth`, the mean over the mouth's rectangle.
  """
  difference = jnp.abs(prediction.astype(jnp.float32) - target)
  if kind == "l2":
    difference = jnp.square(difference)
  difference = difference.mean(-1)
  mask = mouth_mask(landmarks - BORDER, target.shape[1])
  weight = 1.0 + mouth_weight * mask
  parts = {
    "pixel": difference.mean(),
    # A mouth outside the crop leaves no pixel to average.
    "mouth": (difference * mask).sum() / jnp.maximum(mask.sum(), 1.0),
  }
  return (difference * weight).sum() / weight.sum(), parts
