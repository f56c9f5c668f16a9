"""The still picture that `demo_speaker` brings to life.

The portrait is NASA's photograph of Eileen Collins, in the public domain,
as the scikit-image wheel (BSD-3-Clause) packages it for its examples. It is
read from the installed wheel, never fetched. The contours below were traced
by hand on this very picture, so another one is refused.
"""

import dataclasses
import hashlib
import importlib.util
from pathlib import Path

import cv2
import numpy as np

from input_pipeline.errors import InputError

PORTRAIT_SIZE = 512
# Forehead (mesh point 10) to chin (152) in the upright portrait, pixels.
FACE_HEIGHT = 242.0

_FILE = "data/astronaut.png"
_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"

# The similarity that turns the slightly tilted head upright and enlarges it
# to a face silhouette of 205 px: where the middle of the face is, where it
# goes, by what angle and scale.
_FACE_MIDDLE = np.array([224.0, 125.0])
_NEW_MIDDLE = np.array([256.0, 268.0])
_TILT_DEGREES = 2.5
_SCALE = 2.3
# The photograph's collar is clipped to 0, which a footage check takes for a
# fault of the exposure; a camera's black lies a little higher.
_BLACK_LEVEL = 12.0


@dataclasses.dataclass(frozen=True)
class Contour:
  """A contour that is a function of x, in pixels of the upright portrait.

  Attributes:
    x: knots from left to right.
    y: the contour's height at each knot.
  """

  x: tuple[float, ...]
  y: tuple[float, ...]

  def at(self, x: np.ndarray) -> np.ndarray:
    """The contour at columns `x`, its ends continued level: float32."""
    return np.interp(x, self.x, self.y).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Eye:
  """One eye: the margins of its lids between the corners."""

  upper: Contour
  lower: Contour


# The lips of the smile. The inner contours run a little inside the lips, so
# that no tooth and no shadow sticks to a lip when it moves.
UPPER_OUTER = Contour(
  (207.5, 215, 225, 235, 245, 256, 267, 280, 290, 304.5),
  (300.0, 300, 301, 301, 301, 302.5, 301, 301, 300, 300.0),
)
UPPER_INNER = Contour(
  (207.5, 213, 220, 226, 232, 240, 248, 256)
  + (264, 272, 280, 287, 292, 298, 304.5),
  (302.0, 301.5, 303.5, 305, 306, 307.5, 309, 309.5)
  + (309, 307.5, 305.5, 303.5, 302, 301, 302.0),
)
LOWER_INNER = Contour(
  (207.5, 213, 218, 224, 230, 236, 244, 252, 256)
  + (264, 272, 278, 284, 290, 296, 300, 304.5),
  (302.0, 309.5, 313.5, 317.5, 320.5, 323, 324.5, 325.5, 325.5)
  + (325, 323.5, 321.5, 318, 314, 310, 307, 302.0),
)
LOWER_OUTER = Contour(
  (207.5, 215, 222, 230, 240, 248, 256, 264, 275, 285, 295, 304.5),
  (304.5, 314, 321, 328, 334, 336.5, 337, 336, 332, 325, 316, 304.5),
)
MOUTH_LEFT, MOUTH_RIGHT = UPPER_INNER.x[0], UPPER_INNER.x[-1]

EYES = (
  Eye(
    Contour(
      (180, 185, 190, 197, 205, 213, 220, 226, 231),
      (216.5, 212, 208.5, 207, 206, 207.5, 211, 216, 219.5),
    ),
    Contour(
      (180, 187, 195, 205, 215, 224, 231),
      (216.5, 219, 221.5, 222.5, 221, 219.5, 219.5),
    ),
  ),
  Eye(
    Contour(
      (281, 287, 293, 300, 308, 315, 322, 328, 332),
      (220, 214, 210, 207.5, 207, 207, 210, 213, 215.5),
    ),
    Contour(
      (281, 290, 298, 306, 315, 324, 332),
      (220, 221, 223, 223.5, 222, 219, 215.5),
    ),
  ),
)


def load_portrait() -> np.ndarray:
  """The upright, enlarged head: [512, 512, 3] uint8, RGB.

  Raises:
    InputError: scikit-image is not installed or carries another picture.
  """
  spec = importlib.util.find_spec("skimage")
  if spec is None or spec.origin is None:
    raise InputError(
      "the demo's portrait comes with scikit-image, which is not installed; "
      "install it: pip install 'synctalk-jax[demo]'"
    )
  path = Path(spec.origin).parent / _FILE
  content = path.read_bytes() if path.is_file() else b""
  if hashlib.sha256(content).hexdigest() != _SHA256:
    found = "another picture" if content else "no picture"
    raise InputError(
      f"{path} holds {found}, expected the portrait as in scikit-image 0.26; "
      "install that: pip install 'synctalk-jax[demo]'"
    )
  picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
  angle = np.deg2rad(_TILT_DEGREES)
  cos, sin = _SCALE * np.cos(angle), _SCALE * np.sin(angle)
  turn = np.array([[cos, sin], [-sin, cos]])
  affine = np.c_[turn, _NEW_MIDDLE - turn @ _FACE_MIDDLE]
  upright = cv2.warpAffine(
    picture,
    affine,
    (PORTRAIT_SIZE, PORTRAIT_SIZE),
    flags=cv2.INTER_LANCZOS4,
    borderMode=cv2.BORDER_REPLICATE,
  )
  lifted = _BLACK_LEVEL + upright * ((255.0 - _BLACK_LEVEL) / 255.0)
  return np.round(lifted).astype(np.uint8)
