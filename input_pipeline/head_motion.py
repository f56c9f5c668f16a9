"""How the demo's speaker holds the head and blinks: smooth and repeatable."""

import numpy as np

from input_pipeline.face_pose import HeadPose

# The most that each movement reaches: pixels right and down, radians, and
# the logarithm of the size.
_REACH = np.array([4.0, 2.5, np.deg2rad(1.3), 0.008])
# Slow sways whose periods share no small multiple: no pose comes back soon.
_SWAYS_HERTZ = np.array([0.11, 0.23, 0.37])

# Shut within two frames, open again over four, at 25 fps.
_BLINK = np.array([0.45, 1.0, 0.95, 0.65, 0.3, 0.1])
_BLINK_GAP_SECONDS = (2.2, 5.0)


def head_path(
  frame_count: int, fps: float, rng: np.random.Generator
) -> list[HeadPose]:
  """The pose of the head in each frame."""
  time = np.arange(frame_count)[:, None, None] / fps
  phases = rng.uniform(0, 2 * np.pi, (len(_REACH), len(_SWAYS_HERTZ)))
  weights = rng.dirichlet(np.full(len(_SWAYS_HERTZ), 4.0), len(_REACH))
  sway = np.sin(2 * np.pi * _SWAYS_HERTZ * time + phases) * weights
  path = _REACH * sway.sum(-1)
  return [
    HeadPose((float(right), float(down)), float(roll), float(np.exp(size)))
    for right, down, roll, size in path
  ]


def blink_curve(
  frame_count: int, fps: float, rng: np.random.Generator
) -> np.ndarray:
  """How far the eyes are shut: [frame_count] float64, 0 open to 1 shut."""
  curve = np.zeros(frame_count + len(_BLINK))
  start = 1.0
  while start * fps < frame_count:
    first = round(start * fps)
    curve[first : first + len(_BLINK)] = _BLINK
    start += rng.uniform(*_BLINK_GAP_SECONDS)
  return curve[:frame_count]
