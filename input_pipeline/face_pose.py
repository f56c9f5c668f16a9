"""Poses of the demo's head, and where they put the lips.

One place decides where every contour of the mouth is: the renderer
(`face_warp`) reads the lips from here, and so does the truth that is saved
beside the clip.
"""

import dataclasses

import numpy as np

from input_pipeline import demo_portrait as portrait
from input_pipeline.demo_portrait import FACE_HEIGHT

MIDDLE_X = 0.5 * (portrait.MOUTH_LEFT + portrait.MOUTH_RIGHT)
SMILE_HALF_WIDTH = 0.5 * (portrait.MOUTH_RIGHT - portrait.MOUTH_LEFT)
_SMILE_CORNER_Y = portrait.UPPER_INNER.y[0]

# Speech is not a smile: where the closed lips meet at the corners and in
# the middle, pixels of the upright portrait.
_CORNER_Y = 309.0
_CLOSED_Y = 316.0

# How an opening is shared out: the upper lip lifts a little, the jaw drops
# and takes the corners along.
_UPPER_SHARE = 0.2
_CORNER_SHARE = 0.48
# Pursing levels the smile's corners with the middle of the lips, pixels.
_ROUND_DROP = 3.0

# The head turns about the neck.
_PIVOT = np.array([MIDDLE_X, 420.0])


@dataclasses.dataclass(frozen=True)
class MouthPose:
  """The shape of the mouth.

  Attributes:
    opening: gap of the inner lips at the middle, in face heights.
    width: distance of the mouth's corners, in face heights.
    rounding: 0 for flat lips to 1 for pursed ones, which are thicker.
  """

  opening: float
  width: float
  rounding: float


@dataclasses.dataclass(frozen=True)
class HeadPose:
  """Where the head is, relative to the portrait.

  Attributes:
    shift: right and down, pixels.
    roll: clockwise as seen, radians.
    scale: 1 is the portrait's size.
  """

  shift: tuple[float, float] = (0.0, 0.0)
  roll: float = 0.0
  scale: float = 1.0

  def affine(self) -> np.ndarray:
    """Portrait to frame pixels, about the neck: [2, 3] float64."""
    cos = self.scale * np.cos(self.roll)
    sin = self.scale * np.sin(self.roll)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.c_[turn, _PIVOT - turn @ _PIVOT + self.shift]


@dataclasses.dataclass(frozen=True)
class Lips:
  """The four lip contours, heights at given columns, [columns] float32."""

  upper_outer: np.ndarray
  upper_inner: np.ndarray
  lower_inner: np.ndarray
  lower_outer: np.ndarray


def mouth_points(mouth: MouthPose, head: HeadPose) -> np.ndarray:
  """Where the renderer puts the inner lips.

  Returns:
    [4, 2] float64 frame pixels: the middle of the upper lip, the middle of
    the lower lip, the corner at the picture's left, the one at its right.
  """
  lips = posed_lips(np.array([MIDDLE_X], np.float32), mouth)
  corner_y = _SMILE_CORNER_Y + _corner_drop(mouth)
  half = 0.5 * mouth.width * FACE_HEIGHT
  points = np.array(
    [
      [MIDDLE_X, lips.upper_inner[0], 1.0],
      [MIDDLE_X, lips.lower_inner[0], 1.0],
      [MIDDLE_X - half, corner_y, 1.0],
      [MIDDLE_X + half, corner_y, 1.0],
    ]
  )
  return points @ head.affine().T


def portrait_columns(columns: np.ndarray, width: float) -> np.ndarray:
  """The portrait's column that each output column shows: [columns] float32.

  Linear between the corners of the mouth; beyond them the displacement
  fades out over the cheek.
  """
  half = 0.5 * width * FACE_HEIGHT
  offset = columns - MIDDLE_X
  inside = np.clip(offset / half, -1.0, 1.0) * (SMILE_HALF_WIDTH - half)
  beyond = np.maximum(np.abs(offset) - half, 0.0)
  return columns + inside * fade(beyond / 70.0)


def smile_lips(source_x: np.ndarray) -> Lips:
  """The contours in the portrait itself."""
  return Lips(
    upper_outer=portrait.UPPER_OUTER.at(source_x),
    upper_inner=portrait.UPPER_INNER.at(source_x),
    lower_inner=portrait.LOWER_INNER.at(source_x),
    lower_outer=portrait.LOWER_OUTER.at(source_x),
  )


def posed_lips(source_x: np.ndarray, mouth: MouthPose) -> Lips:
  """The contours of the posed mouth, by the portrait's columns."""
  smile = smile_lips(source_x)
  across = np.abs(source_x - MIDDLE_X) / SMILE_HALF_WIDTH
  within = np.clip(across, 0.0, 1.0)
  corner_drop = _corner_drop(mouth)
  beyond = np.maximum(across - 1.0, 0.0) * SMILE_HALF_WIDTH
  corner_y = _SMILE_CORNER_Y + corner_drop * fade(beyond / 60.0)
  dip = _CLOSED_Y - (_SMILE_CORNER_Y + corner_drop)
  meeting = corner_y + dip * (1.0 - within**2) ** 1.2
  # Flat lips open as a slit with sharp corners, pursed ones as an ellipse.
  sharpness = 0.8 - 0.12 * mouth.rounding
  gap = mouth.opening * FACE_HEIGHT * (1.0 - within**2.2) ** sharpness
  upper_inner = meeting - _UPPER_SHARE * gap
  lower_inner = meeting + (1.0 - _UPPER_SHARE) * gap
  # The smile stretches the lips thin; speech lets them go.
  swell = fade((across - 0.3) / 0.7)
  thick_upper = 1.0 + swell * (0.3 + 0.35 * mouth.rounding)
  thick_lower = 1.0 + swell * (
    0.05 + 0.08 * mouth.rounding - 1.2 * mouth.opening
  )
  return Lips(
    upper_outer=upper_inner
    - thick_upper * (smile.upper_inner - smile.upper_outer),
    upper_inner=upper_inner,
    lower_inner=lower_inner,
    lower_outer=lower_inner
    + thick_lower * (smile.lower_outer - smile.lower_inner),
  )


def _corner_drop(mouth: MouthPose) -> float:
  """How far the corners lie below the smile's, pixels."""
  drop = _CORNER_Y - _SMILE_CORNER_Y + _ROUND_DROP * mouth.rounding
  return drop + _CORNER_SHARE * mouth.opening * FACE_HEIGHT


def fade(position: np.ndarray) -> np.ndarray:
  """Falls smoothly from 1 at `position` <= 0 to 0 at >= 1."""
  clipped = np.clip(position, 0.0, 1.0)
  return 1.0 - clipped * clipped * (3.0 - 2.0 * clipped)
