"""The mouth in the 478 points of the MediaPipe face mesh."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# The outline of both lips; the first half runs along the lower lip.
OUTER_LIPS = np.array(
  [61, 146, 91, 181, 84, 17, 314, 405, 321, 375]
  + [291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
)
# Margin around the lips, in shares of the outline's width: chin and cheeks
# that move with them.
_MARGIN = 0.25

_INNER_UPPER, _INNER_LOWER = 13, 14
_FOREHEAD = 10
_CORNERS = (61, 291)


def mouth_bounds(landmarks: Any) -> tuple[Any, Any]:
  """The rectangle around the lips.

  Args:
    landmarks: [..., 478, 2], numpy or jax, x and y in pixels.

  Returns:
    Its upper left and lower right corner, [..., 2] each.
  """
  lips = landmarks[..., OUTER_LIPS, :]
  low, high = lips.min(-2), lips.max(-2)
  margin = _MARGIN * (high[..., :1] - low[..., :1])
  return low - margin, high + margin


def mouth_mask(landmarks: jax.Array, size: int) -> jax.Array:
  """Marks the pixels whose centres lie in the rectangle around the lips.

  Args:
    landmarks: [B, 478, 2] float32, x and y in pixels of the picture.
    size: side of the picture in pixels.

  Returns:
    [B, size, size] float32, 1 inside.
  """
  low, high = mouth_bounds(landmarks)
  centres = jnp.arange(size) + 0.5
  inside = (centres >= low[..., None]) & (centres <= high[..., None])
  return (inside[:, 1, :, None] & inside[:, 0, None, :]).astype(jnp.float32)


def opening(landmarks: np.ndarray) -> np.ndarray:
  """How far the lips are apart, relative to the face's height.

  Measured against the forehead and the mouth's corners, because the chin
  moves with the jaw.

  Args:
    landmarks: [..., 478, 2], in any unit.

  Returns:
    [...] of the same dtype: distance of the inner lips' middles over the
    distance from the forehead to the middle of the mouth's corners.
  """
  gap = np.linalg.norm(
    landmarks[..., _INNER_LOWER, :] - landmarks[..., _INNER_UPPER, :], axis=-1
  )
  corners = landmarks[..., _CORNERS, :].mean(axis=-2)
  height = np.linalg.norm(corners - landmarks[..., _FOREHEAD, :], axis=-1)
  return gap / height
