"""What the network sees of a crop: the one transform of all commands."""

import jax
import jax.numpy as jnp
import numpy as np

# The masked rectangle of the lower face, in shares of the crop's side. From
# below the nose tip to below the chin of a wide open mouth; jaw, cheeks and
# lips all lie inside, or the network would read the mouth from the jaw.
LOWER_FACE_TOP = 0.14
LOWER_FACE_BOTTOM = 0.92
# The rim that even the fully masked copy keeps, in pixels of a 328 crop:
# the 4 of the border and 5 more.
_RIM = 9 / 328


def lower_face_rows(crop_size: int) -> tuple[int, int]:
  """First masked row and first row below the mask."""
  return (
    round(LOWER_FACE_TOP * crop_size),
    round(LOWER_FACE_BOTTOM * crop_size),
  )


def visibility(crop_size: int) -> np.ndarray:
  """Which pixels the two copies keep.

  Args:
    crop_size: side of the crop in pixels.

  Returns:
    [S, S, 2] float32, 1 where the pixel is kept: of the copy with the lower
    face masked, and of the copy with only a rim left.
  """
  rim = round(_RIM * crop_size)
  top, bottom = lower_face_rows(crop_size)
  keep = np.ones((crop_size, crop_size, 2), np.float32)
  keep[top:bottom, rim:-rim, 0] = 0
  keep[rim:-rim, rim:-rim, 1] = 0
  return keep


def network_input(crop: jax.Array) -> jax.Array:
  """Makes the six channels from a crop.

  Args:
    crop: [B, S, S, 3] uint8, RGB.

  Returns:
    [B, S, S, 6] float32 in [0, 1], masked pixels 0.
  """
  image = crop.astype(jnp.float32) / 255.0
  keep = jnp.asarray(visibility(crop.shape[1]))
  return jnp.concatenate([image * keep[..., :1], image * keep[..., 1:]], -1)
