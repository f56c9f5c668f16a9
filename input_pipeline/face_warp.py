"""Moves the mouth, the eyes and the head of the demo's portrait.

Every frame is one inverse map from the portrait: for each output pixel,
where it is read. Down a column the map is piecewise linear between contours
(nose, lips, chin), which `MouthPose` places: so the lips are where the pose
says, exactly, and no column can fold over or tear. Across columns a smooth
displacement narrows or widens the mouth. What opens between the lips is
painted: the portrait's own upper teeth, which stay with the skull, over a
dark cavity with a tongue.
"""

import cv2
import numpy as np

from input_pipeline import demo_portrait as portrait
from input_pipeline.demo_portrait import FACE_HEIGHT
from input_pipeline.face_pose import (
  MIDDLE_X,
  SMILE_HALF_WIDTH,
  HeadPose,
  Lips,
  MouthPose,
  fade,
  portrait_columns,
  posed_lips,
  smile_lips,
)

# Rows and columns that the mouth and the jaw may move, pixels.
_ROWS = slice(258, 482)
_COLUMNS = slice(132, 380)

# Heights in the upright portrait, pixels.
_NOSE_Y = 283.0
_CHIN_Y = 388.0
_COLLAR_Y = 478.0

# The jaw rises to close the lips, pixels, and drops as they open.
_JAW_RISE = 5.0
_CHIN_SHARE = 0.75

_CAVITY = np.array([46, 18, 17], np.float32)
# Light inside the mouth has been reflected by red gums: the exponents by
# which red, green and blue fall off.
_SHADOW_TINT = np.array([0.8, 1.05, 1.1], np.float32)
_TONGUE = np.array([148, 74, 72], np.float32)


class TalkingFace:
  """Renders the portrait in any pose; safe to call from several threads."""

  def __init__(self) -> None:
    self._portrait = portrait.load_portrait()
    height, width = self._portrait.shape[:2]
    self._x, self._y = np.meshgrid(
      np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    self._columns = self._x[0, _COLUMNS]
    self._rows = self._y[_ROWS, :1]
    self._teeth = _extract_teeth(self._portrait)[_ROWS, _COLUMNS]
    self._head_weight = _head_weight(self._x, self._y)

  def render(
    self, mouth: MouthPose, head: HeadPose, blink: float
  ) -> np.ndarray:
    """Draws one frame.

    Args:
      mouth: the shape of the mouth.
      head: where the head is.
      blink: 0 for open eyes to 1 for closed ones.

    Returns:
      [512, 512, 3] uint8, RGB.
    """
    picture = self._portrait.copy()
    picture[_ROWS, _COLUMNS] = self._draw_mouth(mouth)
    if blink > 0:
      for eye in portrait.EYES:
        _close_eye(picture, eye, blink)
    return self._move_head(picture, head)

  def _draw_mouth(self, mouth: MouthPose) -> np.ndarray:
    source_x = portrait_columns(self._columns, mouth.width)
    smile, lips = smile_lips(source_x), posed_lips(source_x, mouth)
    middle = 0.5 * (lips.upper_inner + lips.lower_inner)
    jaw = fade(np.abs(self._columns - MIDDLE_X) / 122.0)
    chin = _CHIN_Y + jaw * (
      _CHIN_SHARE * mouth.opening * FACE_HEIGHT - _JAW_RISE
    )
    upper = _piecewise(
      self._rows,
      (_NOSE_Y, lips.upper_outer, lips.upper_inner),
      (_NOSE_Y, smile.upper_outer, smile.upper_inner),
    )
    lower = _piecewise(
      self._rows,
      (lips.lower_inner, lips.lower_outer, chin, _COLLAR_Y),
      (smile.lower_inner, smile.lower_outer, _CHIN_Y, _COLLAR_Y),
    )
    source_y = np.where(self._rows < middle, upper, lower)
    pull = fade((source_y - 300.0) / -40.0) * fade((source_y - 345.0) / 45.0)
    skin = cv2.remap(
      self._portrait,
      self._columns + (source_x - self._columns) * pull,
      source_y,
      interpolation=cv2.INTER_CUBIC,
      borderMode=cv2.BORDER_REPLICATE,
    )
    return self._paint_inside(
      skin.astype(np.float32), lips, source_x, mouth.rounding
    )

  def _paint_inside(
    self,
    skin: np.ndarray,
    lips: Lips,
    source_x: np.ndarray,
    rounding: float,
  ) -> np.ndarray:
    """Paints teeth, tongue and cavity between the lips."""
    across = (source_x - MIDDLE_X) / SMILE_HALF_WIDTH
    gap = lips.lower_inner - lips.upper_inner
    middle_gap = gap.max()
    below_upper = self._rows - lips.upper_inner
    above_lower = lips.lower_inner - self._rows

    tongue = fade((above_lower - 0.2 * gap) / (0.35 * middle_gap + 1.0))
    tongue *= fade((np.abs(across) - 0.25) / 0.5) * min(middle_gap / 20.0, 1.0)
    inside = _CAVITY + tongue[..., None] * (_TONGUE - _CAVITY)
    # Less light falls on the teeth of a nearly closed mouth, under the lip
    # and towards the cheeks.
    light = 1.0 - 0.5 * np.exp(-np.maximum(below_upper, 0) / 3.0)
    light = light * (1.0 - 0.65 * np.clip(np.abs(across), 0, 1) ** 3)
    light *= 0.85 + 0.15 * min(middle_gap / 10.0, 1.0)
    # Pursed lips stand out in front of the teeth and hide them.
    teeth = self._teeth[..., 3:] * (1.0 - 0.8 * rounding)
    lit_teeth = self._teeth[..., :3] * light[..., None] ** _SHADOW_TINT
    inside += teeth * (lit_teeth - inside)

    # Where the lips meet they shade each other.
    lip_line = fade((np.abs(across) - 0.9) / 0.25)
    edge = np.minimum(np.abs(below_upper), np.abs(above_lower))
    shade = 1.0 - (0.6 - 0.4 * rounding) * lip_line * np.exp(
      -((edge / 1.4) ** 2)
    )
    open_part = np.clip(below_upper + 0.5, 0, 1) * np.clip(
      above_lower + 0.5, 0, 1
    )
    open_part = (open_part * np.clip(gap / 2.0, 0, 1))[..., None]
    shaded = skin * shade[..., None]
    return _to_uint8(shaded + open_part * (inside - shaded))

  def _move_head(self, picture: np.ndarray, head: HeadPose) -> np.ndarray:
    back = cv2.invertAffineTransform(head.affine()).astype(np.float32)
    moved_x = back[0, 0] * self._x + back[0, 1] * self._y + back[0, 2]
    moved_y = back[1, 0] * self._x + back[1, 1] * self._y + back[1, 2]
    return cv2.remap(
      picture,
      self._x + self._head_weight * (moved_x - self._x),
      self._y + self._head_weight * (moved_y - self._y),
      interpolation=cv2.INTER_CUBIC,
      borderMode=cv2.BORDER_REPLICATE,
    )


def _piecewise(
  rows: np.ndarray, knots: tuple, source_knots: tuple
) -> np.ndarray:
  """Maps output rows to source rows, column by column.

  Args:
    rows: [rows, 1] float32.
    knots: heights in the output, top to bottom, [columns] float32 or float.
    source_knots: the heights in the portrait that belong there.

  Returns:
    [rows, columns] float32: linear between knots, slope 1 outside them.
  """
  first, last = knots[0], knots[-1]
  source = source_knots[0] + np.minimum(rows - first, 0.0)
  source = source + np.maximum(rows - last, 0.0)
  pairs = zip(
    knots[:-1], knots[1:], source_knots[:-1], source_knots[1:], strict=True
  )
  for top, bottom, source_top, source_bottom in pairs:
    slope = (source_bottom - source_top) / (bottom - top)
    source = source + (np.clip(rows, top, bottom) - top) * slope
  return source.astype(np.float32)


def _close_eye(picture: np.ndarray, eye: portrait.Eye, blink: float) -> None:
  """Draws the upper lid down, in place; the eyeball stays where it is."""
  left, right = int(eye.upper.x[0]) - 8, int(eye.upper.x[-1]) + 9
  top, bottom = 190, 232
  columns = np.arange(left, right, dtype=np.float32)
  rows = np.arange(top, bottom, dtype=np.float32)[:, None]
  upper, lower = eye.upper.at(columns), eye.lower.at(columns)
  # The lid overlaps the lower one a little, so that no white shows.
  lid = upper + 1.08 * blink * np.maximum(lower - upper, 0.0)
  # The lashes, 4 px above the margin, keep their size; the skin stretches.
  lashes = 4.0
  moved = _piecewise(
    rows,
    (top + 4.0, lid - lashes, lid),
    (top + 4.0, upper - lashes, upper),
  )
  cover = np.clip(lid - rows + 0.5, 0.0, 1.0)[..., None]
  part = picture[top:bottom, left:right]
  skin = cv2.remap(
    picture,
    np.broadcast_to(columns, moved.shape).copy(),
    moved,
    interpolation=cv2.INTER_CUBIC,
  )
  part[:] = _to_uint8(part + cover * (skin.astype(np.float32) - part))


def _extract_teeth(picture: np.ndarray) -> np.ndarray:
  """The smile's teeth: [512, 512, 4] float32, colour and coverage in [0, 1].

  Above the gums' edge the nearest row is repeated: a lip covers it anyway.
  """
  height, width = picture.shape[:2]
  columns = np.arange(width, dtype=np.float32)
  rows = np.arange(height, dtype=np.float32)[:, None]
  top = portrait.UPPER_INNER.at(columns) + 2.0
  bottom = portrait.LOWER_INNER.at(columns) - 4.0
  read_y = np.clip(rows, top, np.maximum(bottom, top))
  colour = cv2.remap(
    picture,
    np.broadcast_to(columns, read_y.shape).copy(),
    read_y,
    interpolation=cv2.INTER_LINEAR,
  ).astype(np.float32)
  cover = np.clip(bottom - rows, 0.0, 1.0)
  cover = cover * fade((np.abs(columns - MIDDLE_X) - 30.0) / 10.0)
  return np.dstack([colour, cover]).astype(np.float32)


def _head_weight(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """1 on head and neck, fading to 0 over background and shoulders."""
  across = (x - MIDDLE_X) / 178.0
  down = np.maximum(y - 215.0, 0.0) / 190.0
  return fade((np.hypot(across, down) - 1.0) / 0.45).astype(np.float32)


def _to_uint8(values: np.ndarray) -> np.ndarray:
  return np.clip(values + 0.5, 0, 255).astype(np.uint8)
