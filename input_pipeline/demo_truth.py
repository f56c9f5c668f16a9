"""The mouth of the demo's speaker in every frame, known by construction."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from input_pipeline.atomic_file import replacing

_VERSION = 1

# Said in the file too, so that it explains itself.
UNITS = {
  "time": "s, frame index / fps",
  "opening": "gap of the inner lips at the middle, in face_height",
  "width": "distance of the mouth's corners, in face_height",
  "rounding": "0 flat to 1 pursed",
  "blink": "0 open eyes to 1 shut",
  "head_scale": "size of the head, 1 where face_height is as stated",
  "mouth_points": "px (x, y): upper and lower inner lip at the middle, "
  "left and right corner as seen",
  "face_height": "px, forehead (mesh point 10) to chin (152) of the portrait",
}


@dataclasses.dataclass(frozen=True)
class Truth:
  """What the picture shows, by construction.

  Attributes:
    time: [frames] float64, seconds; frame `i` is at `i / fps`.
    opening: [frames] float64, gap of the inner lips at the middle, in face
      heights, 0 when the lips touch.
    width: [frames] float64, distance of the mouth's corners, face heights.
    rounding: [frames] float64, 0 flat to 1 pursed.
    blink: [frames] float64, 0 open eyes to 1 shut.
    head_scale: [frames] float64, size of the head against the portrait's.
    mouth_points: [frames, 4, 2] float64, pixels: upper and lower inner lip
      at the middle, left and right corner as seen.
    face_height: pixels at `head_scale` 1, forehead to chin.
  """

  time: np.ndarray
  opening: np.ndarray
  width: np.ndarray
  rounding: np.ndarray
  blink: np.ndarray
  head_scale: np.ndarray
  mouth_points: np.ndarray
  face_height: float


def save_truth(path: Path, truth: Truth) -> None:
  """Writes an .npz of `Truth`'s fields, `version` and `units` (JSON)."""
  arrays = {
    field.name: np.asarray(getattr(truth, field.name))
    for field in dataclasses.fields(truth)
  }
  with replacing(path) as temporary, temporary.open("wb") as file:
    np.savez_compressed(
      file,
      version=np.array(_VERSION),
      units=np.array(json.dumps(UNITS)),
      **arrays,
    )


def load_truth(path: Path) -> Truth:
  """Reads what `save_truth` wrote."""
  with np.load(path, allow_pickle=False) as arrays:
    truth = {
      field.name: arrays[field.name] for field in dataclasses.fields(Truth)
    }
  return Truth(**truth | {"face_height": float(truth["face_height"])})
