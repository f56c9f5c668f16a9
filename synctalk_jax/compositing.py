"""Putting a drawn face back into its frame, without a seam."""

import cv2
import numpy as np

from input_pipeline.crops import crop_matrix
from synctalk_jax.models.unet import BORDER

# Pixels of a 320 face over which the drawn picture fades in.
_FEATHER = 16 / 320


def feather(size: int) -> np.ndarray:
  """How much of the drawn face shows at each pixel.

  Args:
    size: side of the drawn face in pixels.

  Returns:
    [size, size] float32: 0 on the rim, rising as a smoothstep to 1 within 5 %
    of the side.
  """
  distance = np.minimum(np.arange(size), np.arange(size)[::-1])
  ramp = np.clip(distance / (_FEATHER * size), 0.0, 1.0)
  smooth = ramp * ramp * (3 - 2 * ramp)
  return np.minimum(smooth[:, None], smooth[None, :]).astype(np.float32)


def paste(
  frame: np.ndarray, face: np.ndarray, box: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
  """Blends a face into a frame.

  Args:
    frame: [H, W, 3] uint8.
    face: [N, N, 3] uint8, the inner part of a crop of N + 8.
    box: [3], the crop's left, top and side in pixels of the frame.
    alpha: [N, N] float32 from `feather`.

  Returns:
    A new [H, W, 3] uint8 frame. Pixels that the face does not reach are those
    of `frame`, bit for bit.
  """
  size = face.shape[0] + 2 * BORDER
  to_frame = crop_matrix(box, size)
  # Moves the origin from the crop's first pixel to the face's.
  to_frame[:, 2] += to_frame[:, :2] @ (BORDER, BORDER)
  rows, columns = _reach(to_frame, face.shape[0], frame.shape[:2])
  result = frame.copy()
  region = result[rows, columns]
  if not region.size:
    return result
  to_frame[:, 2] -= (columns.start, rows.start)
  shape = region.shape[1::-1]
  # Cubic keeps teeth sharp where the face is larger than the crop; where it
  # is smaller it would ring.
  enlarging = to_frame[0, 0] > 1
  warped = cv2.warpAffine(
    face,
    to_frame,
    shape,
    flags=cv2.INTER_CUBIC if enlarging else cv2.INTER_LINEAR,
    borderMode=cv2.BORDER_REPLICATE,
  )
  weight = cv2.warpAffine(alpha, to_frame, shape, flags=cv2.INTER_LINEAR)
  difference = warped.astype(np.float32) - region
  region[...] = np.rint(region + weight[..., None] * difference)
  return result


def _reach(
  to_frame: np.ndarray, size: int, shape: tuple[int, int]
) -> tuple[slice, slice]:
  """The frame's rows and columns that a face of `size` can change."""
  first = to_frame[:, 2]
  last = first + to_frame[:, :2] @ (size - 1, size - 1)
  low = np.maximum(np.floor(first).astype(int), 0)
  high = np.minimum(np.ceil(last).astype(int) + 1, shape[::-1])
  high = np.maximum(high, low)
  return slice(low[1], high[1]), slice(low[0], high[0])
