"""The square crop of the lower face: its box, its smoothing, its pixels."""

import cv2
import numpy as np

# The face mesh proper; the points after it are the irises.
_FACE_POINTS = 468

# Mesh points above and below the middle of the nose bridge.
_NOSE_BRIDGE = (195, 5)

MAX_GAP_FRAMES = 10
CUT_JUMP = 0.25

_FILTER_FRAMES = 9
_FILTER_ORDER = 2


def face_boxes(landmarks: np.ndarray) -> np.ndarray:
  """Places a square box from mid-nose down, as wide as the visible face.

  Args:
    landmarks: [N, 478, 2] float32, x and y in pixels; NaN where no face is.

  Returns:
    [N, 3] float64: left edge, top edge and side in pixels; NaN likewise.
  """
  points = landmarks[:, :_FACE_POINTS].astype(np.float64)
  left = points[:, :, 0].min(axis=1)
  right = points[:, :, 0].max(axis=1)
  top = points[:, _NOSE_BRIDGE, 1].mean(axis=1)
  return np.stack([left, top, right - left], axis=1)


def smooth_boxes(
  boxes: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Fills short gaps and removes jitter, without moving anything in time.

  Args:
    boxes: [N, 3] from `face_boxes`.
    found: [N] bool, where a face was found.

  Returns:
    [N, 3] float64 boxes, and [N] bool: which of them are usable. A box is not
    usable before the first face, after the last, in gaps of more than 10
    frames and in gaps across a cut; it is then that of the nearest usable
    frame, or NaN if there is none.
  """
  smooth = np.full(boxes.shape, np.nan)
  usable = np.zeros(len(boxes), bool)
  for segment in _segments(boxes, found):
    frames = np.arange(segment[0], segment[-1] + 1)
    filled = np.stack(
      [np.interp(frames, segment, boxes[segment, i]) for i in range(3)], axis=1
    )
    smooth[frames] = _savitzky_golay(filled)
    usable[frames] = True
  if usable.any():
    smooth = smooth[_nearest(usable)]
  return smooth, usable


def crop_face(frame: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
  """Samples a box of a picture; outside the picture its edge is repeated.

  Args:
    frame: [H, W, 3] uint8.
    box: [3] left, top and side in pixels, counted from the corner of the
      first pixel.
    size: pixels on each side of the crop.

  Returns:
    [size, size, 3] uint8.
  """
  matrix = crop_matrix(box, size)
  shrink = float(box[2]) / size
  if shrink > 1:
    frame, matrix = _blurred(frame, box, matrix, shrink)
  return cv2.warpAffine(
    frame,
    matrix,
    (size, size),
    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    borderMode=cv2.BORDER_REPLICATE,
  )


def crop_matrix(box: np.ndarray, size: int) -> np.ndarray:
  """Returns the map from crop pixels to frame pixels.

  Args:
    box: [3] left, top and side in pixels.
    size: pixels on each side of the crop.

  Returns:
    [2, 3] float64 M: frame = M @ (x, y, 1), both in pixel indices, so that
    an integer is the centre of a pixel.
  """
  left, top, side = np.asarray(box, np.float64)
  scale = side / size
  return np.array(
    [
      [scale, 0.0, 0.5 * scale - 0.5 + left],
      [0.0, scale, 0.5 * scale - 0.5 + top],
    ]
  )


def to_crop(landmarks: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
  """Moves points from the frame into a crop.

  Args:
    landmarks: [..., 2] x and y in the frame's pixels, counted like the box
      from the corner of the first pixel.
    box: [3] left, top and side in pixels.
    size: pixels on each side of the crop.

  Returns:
    [..., 2] float64, in the crop's pixels, likewise.
  """
  left, top, side = np.asarray(box, np.float64)
  return (landmarks - np.array([left, top])) * (size / side)


def overhang(box: np.ndarray, height: int, width: int) -> float:
  """Returns the share of a box's area that lies outside the picture."""
  left, top, side = np.asarray(box, np.float64)
  outside_x = max(-left, 0.0) + max(left + side - width, 0.0)
  outside_y = max(-top, 0.0) + max(top + side - height, 0.0)
  inside = max(side - outside_x, 0.0) * max(side - outside_y, 0.0)
  return float(1 - inside / side**2)


def _segments(boxes: np.ndarray, found: np.ndarray) -> list[np.ndarray]:
  """Splits the found frames where a gap is too long or a cut happens."""
  frames = np.flatnonzero(found)
  if frames.size == 0:
    return []
  gaps = np.diff(frames) - 1
  jumps = np.abs(np.diff(boxes[frames], axis=0)).max(axis=1)
  cuts = jumps > CUT_JUMP * boxes[frames[:-1], 2]
  breaks = np.flatnonzero((gaps > MAX_GAP_FRAMES) | cuts)
  return np.split(frames, breaks + 1)


def _savitzky_golay(values: np.ndarray) -> np.ndarray:
  """Filters [n, 3] along time; short series get the longest window they fit."""
  window = min(_FILTER_FRAMES, len(values) - (len(values) + 1) % 2)
  if window <= _FILTER_ORDER:
    return values
  # Imported here, or each worker that only cuts crops would wait a second.
  from scipy.signal import savgol_filter

  return savgol_filter(values, window, _FILTER_ORDER, axis=0, mode="interp")


def _nearest(usable: np.ndarray) -> np.ndarray:
  """Returns for each frame the index of the nearest usable one."""
  known = np.flatnonzero(usable)
  after = np.searchsorted(known, np.arange(len(usable)))
  after = np.minimum(after, len(known) - 1)
  before = np.maximum(after - 1, 0)
  frames = np.arange(len(usable))
  closer = np.abs(known[before] - frames) <= np.abs(known[after] - frames)
  return np.where(closer, known[before], known[after])


def _blurred(
  frame: np.ndarray, box: np.ndarray, matrix: np.ndarray, shrink: float
) -> tuple[np.ndarray, np.ndarray]:
  """Blurs what a shrinking crop sees, and moves the matrix to that part.

  The sigma makes up for the samples that bilinear shrinking skips.
  """
  sigma = 0.5 * np.sqrt(shrink**2 - 1)
  margin = int(np.ceil(4 * sigma)) + 2
  height, width = frame.shape[:2]
  left, top, side = (float(value) for value in box)
  x0 = int(np.clip(np.floor(left) - margin, 0, width - 1))
  y0 = int(np.clip(np.floor(top) - margin, 0, height - 1))
  x1 = int(np.clip(np.ceil(left + side) + margin, x0 + 1, width))
  y1 = int(np.clip(np.ceil(top + side) + margin, y0 + 1, height))
  part = cv2.GaussianBlur(
    frame[y0:y1, x0:x1],
    (0, 0),
    sigmaX=sigma,
    borderType=cv2.BORDER_REPLICATE,
  )
  moved = matrix.copy()
  moved[:, 2] -= (x0, y0)
  return part, moved
