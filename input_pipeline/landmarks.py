"""Following one face through a video: 478 points on every frame."""

import dataclasses
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from input_pipeline.errors import InputError
from input_pipeline.face_model import MESH_POINTS
from input_pipeline.landmarks_litert import LiteRtLandmarker, box_iou
from input_pipeline.landmarks_mediapipe import MediaPipeLandmarker

__all__ = [
  "MESH_POINTS",
  "FaceTrack",
  "Landmarker",
  "load_landmarks",
  "open_landmarker",
  "track_faces",
]

# How often other faces are looked for.
DETECT_EVERY = 25

MIN_PRESENCE = 0.5

# Less overlap than this from one frame to the next is a jump, not a motion.
_MIN_OVERLAP = 0.5

_BACKENDS = {"litert": LiteRtLandmarker, "mediapipe": MediaPipeLandmarker}


class Landmarker(Protocol):
  """What places points on faces; a context manager."""

  def __enter__(self) -> "Landmarker": ...

  def __exit__(self, *exception) -> None: ...

  def faces(self, rgb: np.ndarray) -> np.ndarray:
    """Detects: [H, W, 3] uint8 -> [F, 478, 3] float32, largest first."""
    ...

  def follow(
    self, rgb: np.ndarray, previous: np.ndarray
  ) -> tuple[np.ndarray, float]:
    """Goes on from the last frame's points: points, presence in [0, 1]."""
    ...


@dataclasses.dataclass(frozen=True, eq=False)
class FaceTrack:
  """One face through a video.

  Attributes:
    landmarks: [N, 478, 2] float32, x and y in pixels from the corner of the
      first pixel; NaN where the face was not found.
    presence: [N] float32 in [0, 1], how sure the network is of a face; 1
      where it was detected anew, 0 where none was found.
    num_faces: [N] int8, faces in the picture when it was last looked for.
  """

  landmarks: np.ndarray
  presence: np.ndarray
  num_faces: np.ndarray


def open_landmarker(kind: str, model: Path, max_faces: int = 4) -> Landmarker:
  """Opens a face landmarker; use it in a `with`.

  Args:
    kind: `litert` (in this process, no network, no system libraries) or
      `mediapipe` (the official runtime, in a process of its own).
    model: the Face Landmarker bundle, from `face_model.resolve_model`.
    max_faces: most faces to return for a picture.

  Returns:
    the landmarker.

  Raises:
    InputError: unknown kind, unreadable model, or a missing package.
  """
  if kind not in _BACKENDS:
    raise InputError(
      f"landmarker {kind!r} is unknown; --landmarker takes "
      f"{' or '.join(_BACKENDS)}"
    )
  if not zipfile.is_zipfile(model):
    raise InputError(
      f"{model}: not a face landmark model; run `python -m "
      "input_pipeline.face_model --fetch`"
    )
  return _BACKENDS[kind](model, max_faces)


def track_faces(
  landmarker: Landmarker, frames: Iterable[np.ndarray]
) -> FaceTrack:
  """Follows the largest face of the first frame that has one.

  When the face is lost or jumps, faces are detected anew, and the one that
  overlaps most with where it was last seen is followed; when none does, as
  after a cut, the largest. Every 25th frame they are counted.

  Args:
    landmarker: from `open_landmarker`.
    frames: [H, W, 3] uint8 each.

  Returns:
    the track, one row for each frame.
  """
  points, last_seen, count = None, None, 0
  rows, presences, counts = [], [], []
  for number, frame in enumerate(frames):
    presence = 0.0
    if points is not None:
      points, presence = landmarker.follow(frame, last_seen)
      if presence < MIN_PRESENCE or _jumped(last_seen, points):
        points, presence = None, 0.0
    if points is None or number % DETECT_EVERY == 0:
      faces = landmarker.faces(frame)
      count = max(len(faces), int(points is not None))
      if points is None and len(faces):
        points, presence = _same_or_largest(faces, last_seen), 1.0
    if points is not None:
      last_seen = points
    rows.append(_row(points))
    presences.append(presence)
    counts.append(count)
  return FaceTrack(
    landmarks=np.array(rows, np.float32).reshape(-1, MESH_POINTS, 2),
    presence=np.array(presences, np.float32),
    num_faces=np.array(counts, np.int8),
  )


def load_landmarks(path: str | Path) -> FaceTrack:
  """Reads landmarks that were computed elsewhere.

  Args:
    path: an `.npz` file with an array `landmarks`, [N, 478, 2 or 3] in pixels,
      NaN where there is no face.

  Returns:
    the track; presence is 1 where there are points.

  Raises:
    InputError: no such file, not an npz, or another shape.
  """
  path = Path(path)
  if not path.is_file():
    raise InputError(f"{path}: no such file; --landmarks takes an .npz file")
  try:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
      landmarks = archive["landmarks"]
  except KeyError as error:
    raise InputError(
      f"{path}: has no array named 'landmarks'; save [N, {MESH_POINTS}, 2] "
      "under that name"
    ) from error
  except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
    raise InputError(
      f"{path}: not an .npz file of plain arrays; save it with numpy.savez"
    ) from None
  shape = landmarks.shape
  if (
    landmarks.dtype.kind != "f"
    or len(shape) != 3
    or shape[0] == 0
    or shape[1] != MESH_POINTS
    or shape[2] not in (2, 3)
  ):
    raise InputError(
      f"{path}: 'landmarks' is {list(shape)} {landmarks.dtype}; expected "
      f"[frames, {MESH_POINTS}, 2 or 3] float"
    )
  landmarks = landmarks[:, :, :2].astype(np.float32)
  found = np.isfinite(landmarks).all(axis=(1, 2))
  landmarks[~found] = np.nan
  return FaceTrack(landmarks, found.astype(np.float32), found.astype(np.int8))


def _same_or_largest(
  faces: np.ndarray, last_seen: np.ndarray | None
) -> np.ndarray:
  """Picks the detected face to go on with.

  Args:
    faces: [F, 478, 3], the largest first.
    last_seen: [478, 3] of the face followed so far, or None.

  Returns:
    [478, 3], the one of `faces` where it was last seen, or else the largest.
  """
  if last_seen is None:
    return faces[0]
  overlaps = box_iou(_box(last_seen), np.array([_box(f) for f in faces]))
  # Without any overlap argmax is 0: the largest.
  return faces[int(overlaps.argmax())]


def _jumped(last: np.ndarray, points: np.ndarray) -> bool:
  return box_iou(_box(last), _box(points)[None])[0] < _MIN_OVERLAP


def _box(points: np.ndarray) -> np.ndarray:
  """Returns [4] x0, y0, x1, y1 around [478, 3] points."""
  flat = points[:, :2].astype(np.float64)
  return np.concatenate([flat.min(axis=0), flat.max(axis=0)])


def _row(points: np.ndarray | None) -> np.ndarray:
  if points is None:
    return np.full((MESH_POINTS, 2), np.nan, np.float32)
  return points[:, :2]
