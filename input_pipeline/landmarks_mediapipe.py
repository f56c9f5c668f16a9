"""MediaPipe's own face landmarker, in a process of its own.

A landmarker that met an error can wait for ever when it is freed, and its
import pulls in TensorFlow; both stay in the child, which has a time limit.
"""

import json
import multiprocessing
import os
import struct
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from input_pipeline.errors import InputError
from input_pipeline.face_model import MESH_POINTS

_START_SECONDS = 60.0
_FRAME_SECONDS = 20.0
_STOP_SECONDS = 5.0

_MISSING = (
  "--landmarker mediapipe: {reason}; install the Python package mediapipe and "
  "the system packages libegl1 and libgles2, or use --landmarker litert"
)


class MediaPipeLandmarker:
  """The same interface as `LiteRtLandmarker`, for comparison with it.

  MediaPipe sends usage statistics when it is closed, if it has a network.
  """

  def __init__(self, model: Path, max_faces: int = 4):
    """Starts the child and loads the model there.

    Args:
      model: the Face Landmarker bundle.
      max_faces: most faces to return.

    Raises:
      InputError: mediapipe or a system library of it is missing.
    """
    context = multiprocessing.get_context("spawn")
    self._pipe, theirs = context.Pipe()
    self._child = context.Process(
      target=_serve, args=(theirs, str(model), max_faces), daemon=True
    )
    self._child.start()
    theirs.close()
    try:
      self._receive(_START_SECONDS)
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> "MediaPipeLandmarker":
    return self

  def __exit__(self, *exception) -> None:
    self.close()

  def close(self) -> None:
    """Ends the child, by force if it does not end by itself."""
    self._pipe.close()
    self._child.join(_STOP_SECONDS)
    if self._child.is_alive():
      self._child.kill()
      self._child.join()

  def faces(self, rgb: np.ndarray) -> np.ndarray:
    """Detects faces and places their points.

    Args:
      rgb: [H, W, 3] uint8.

    Returns:
      [F, 478, 3] float32 as from `LiteRtLandmarker.faces`.
    """
    # MediaPipe ignores strides: a view with padded rows would be sheared, and
    # no face be found in it.
    try:
      self._pipe.send_bytes(struct.pack("<2i", *rgb.shape[:2]))
      self._pipe.send_bytes(np.ascontiguousarray(rgb).reshape(-1))
    except BrokenPipeError as error:
      raise _ended() from error
    answer = self._receive(_FRAME_SECONDS)
    return np.frombuffer(answer, np.float32).reshape(-1, MESH_POINTS, 3)

  def follow(
    self, rgb: np.ndarray, previous: np.ndarray
  ) -> tuple[np.ndarray, float]:
    """Finds the face nearest to where one was; see `LiteRtLandmarker`.

    Every picture is searched afresh, so presence is 0 or 1.
    """
    faces = self.faces(rgb)
    if not len(faces):
      return previous, 0.0
    centres = faces[:, :, :2].mean(axis=1)
    distances = np.linalg.norm(centres - previous[:, :2].mean(axis=0), axis=1)
    return faces[int(distances.argmin())], 1.0

  def _receive(self, seconds: float) -> bytes:
    """Waits for the child's answer, but not for ever."""
    if not self._pipe.poll(seconds):
      # A late answer must not be taken for that to the next picture.
      self._child.kill()
      raise InputError(
        f"mediapipe did not answer within {seconds:.0f} seconds; use "
        "--landmarker litert"
      )
    try:
      kind, answer = self._pipe.recv_bytes(), self._pipe.recv_bytes()
    except (EOFError, ConnectionResetError) as error:
      raise _ended() from error
    if kind == b"error":
      raise InputError(_MISSING.format(reason=json.loads(answer)))
    return answer


def _ended() -> InputError:
  return InputError(_MISSING.format(reason="its process ended unexpectedly"))


def _serve(pipe: Connection, model: str, max_faces: int) -> None:
  """The child: answers pictures with faces until the pipe closes."""
  try:
    landmarker, to_image = _create(model, max_faces)
  except (ImportError, OSError, RuntimeError) as error:
    _send(pipe, b"error", json.dumps(str(error)).encode())
    return
  with landmarker:
    _send(pipe, b"ready", b"")
    while True:
      try:
        height, width = struct.unpack("<2i", pipe.recv_bytes())
        data = pipe.recv_bytes()
      except EOFError:
        return
      rgb = np.frombuffer(data, np.uint8).reshape(height, width, 3)
      result = landmarker.detect(to_image(rgb))
      scale = np.array([width, height, width], np.float32)
      meshes = [
        np.array([(p.x, p.y, p.z) for p in face], np.float32) * scale
        for face in result.face_landmarks
      ]
      meshes.sort(key=lambda m: -np.prod(np.ptp(m[:, :2], axis=0)))
      _send(pipe, b"faces", b"".join(mesh.tobytes() for mesh in meshes))


def _create(model: str, max_faces: int):
  """Imports mediapipe and creates its landmarker, both without a sound."""
  # Its log goes straight to the file descriptor; no setting silences it.
  null = os.open(os.devnull, os.O_WRONLY)
  os.dup2(null, 2)
  os.close(null)
  # mediapipe imports TensorFlow for decorators of its documentation only.
  sys.modules["tensorflow"] = None
  import mediapipe as mp
  from mediapipe.tasks.python import BaseOptions, vision

  options = vision.FaceLandmarkerOptions(
    base_options=BaseOptions(model_asset_path=model), num_faces=max_faces
  )
  landmarker = vision.FaceLandmarker.create_from_options(options)
  return landmarker, lambda rgb: mp.Image(
    image_format=mp.ImageFormat.SRGB, data=rgb
  )


def _send(pipe: Connection, kind: bytes, answer: bytes) -> None:
  pipe.send_bytes(kind)
  pipe.send_bytes(answer)
