"""The MediaPipe face landmark networks, run by LiteRT.

The bundle holds a short-range face detector (128x128 pixels) and a mesh
network (256x256) that places 478 points in a square around one face.
"""

import zipfile
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from input_pipeline.face_model import MESH_POINTS

_DETECTOR_SIZE = 128
_MESH_SIZE = 256

_MIN_SCORE = 0.5
_SAME_FACE_IOU = 0.3

# The square that the mesh network sees, by the longer side of a face's box.
_REGION_SCALE = 1.5

# Mesh points of the outer eye corners; the face is turned upright by them.
_EYE_CORNERS = (33, 263)

# A detection's box is coarse. Each pass takes its square from the mesh of the
# one before; after three the mesh no longer moves.
_PASSES = 3


class LiteRtLandmarker:
  """Finds faces and places 478 points on each.

  Results depend on the picture alone, bit for bit: one thread, no state.
  """

  def __init__(self, model: Path, max_faces: int = 4):
    """Loads the networks.

    Args:
      model: the Face Landmarker bundle, a zip file.
      max_faces: most faces to return.
    """
    with zipfile.ZipFile(model) as bundle:
      self._detector = _Network(bundle.read("face_detector.tflite"))
      self._mesh = _Network(bundle.read("face_landmarks_detector.tflite"))
    self._anchors = _anchors()
    self._max_faces = max_faces

  def __enter__(self) -> "LiteRtLandmarker":
    return self

  def __exit__(self, *exception) -> None:
    self.close()

  def close(self) -> None:
    """Frees the networks."""
    self._detector = self._mesh = None

  def faces(self, rgb: np.ndarray) -> np.ndarray:
    """Detects faces and places their points.

    Args:
      rgb: [H, W, 3] uint8.

    Returns:
      [F, 478, 3] float32, the largest face first; x and y in pixels of `rgb`
      (pixel centres at integers plus a half), z in the same scale.
    """
    detections = self._detect(rgb)
    if not len(detections):
      detections = self._detect_small(rgb)
    meshes = []
    for detection in detections[: self._max_faces]:
      region = _detection_region(detection)
      for _ in range(_PASSES):
        points, presence = self._place(rgb, region)
        region = _mesh_region(points)
      if presence >= _MIN_SCORE:
        meshes.append(points)
    meshes.sort(key=lambda points: -np.prod(np.ptp(points[:, :2], axis=0)))
    return np.array(meshes, np.float32).reshape(-1, MESH_POINTS, 3)

  def follow(
    self, rgb: np.ndarray, previous: np.ndarray
  ) -> tuple[np.ndarray, float]:
    """Places the points of a face whose place in the last frame is known.

    Args:
      rgb: [H, W, 3] uint8.
      previous: [478, 3] float32, its points there.

    Returns:
      [478, 3] float32 points, and the probability that a face is there.
    """
    return self._place(rgb, _mesh_region(previous))

  def _place(
    self, rgb: np.ndarray, region: np.ndarray
  ) -> tuple[np.ndarray, float]:
    """Runs the mesh network in a square.

    Args:
      rgb: [H, W, 3] uint8.
      region: centre x, centre y, side, angle in radians.

    Returns:
      [478, 3] float32 points and the presence probability.
    """
    to_picture = _region_matrix(region, _MESH_SIZE)
    crop = _sample(rgb, to_picture, _MESH_SIZE)
    points, logit = self._mesh(crop.astype(np.float32) / 255, 2)
    points = points.reshape(MESH_POINTS, 3).astype(np.float64)
    placed = np.empty((MESH_POINTS, 3), np.float32)
    placed[:, :2] = points[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
    placed[:, 2] = points[:, 2] * (region[2] / _MESH_SIZE)
    return placed, float(_sigmoid(logit.reshape(())))

  def _detect(self, rgb: np.ndarray) -> np.ndarray:
    """Runs the detector on a whole picture.

    Args:
      rgb: [H, W, 3] uint8.

    Returns:
      [F, 8] float64, the highest score first: box x0, y0, x1, y1, then x and
      y of both eyes, in pixels.
    """
    height, width = rgb.shape[:2]
    side = max(height, width)
    whole = np.array([width / 2, height / 2, side, 0.0])
    to_picture = _region_matrix(whole, _DETECTOR_SIZE)
    crop = _sample(rgb, to_picture, _DETECTOR_SIZE)
    boxes, logits = self._detector(crop.astype(np.float32) / 127.5 - 1, 2)
    scores = _sigmoid(logits.reshape(-1).astype(np.float64))
    kept = scores >= _MIN_SCORE
    raw = boxes.reshape(-1, 16)[kept].astype(np.float64) / _DETECTOR_SIZE
    anchors = self._anchors[kept]
    centre, half_size = raw[:, :2] + anchors, raw[:, 2:4] / 2
    eyes = raw[:, 4:8] + np.tile(anchors, 2)
    found = np.hstack([centre - half_size, centre + half_size, eyes])
    merged = _merge(found, scores[kept])
    shift = np.tile([(side - width) / 2, (side - height) / 2], 4)
    return merged * side - shift

  def _detect_small(self, rgb: np.ndarray) -> np.ndarray:
    """Looks for faces too small for the detector, on overlapping tiles.

    The detector misses faces below a tenth of the picture's longer side;
    tiles of half that side halve the limit.
    """
    height, width = rgb.shape[:2]
    side = (max(height, width) + 1) // 2
    found = []
    for top in _tile_starts(height, side):
      for left in _tile_starts(width, side):
        tile = rgb[top : top + side, left : left + side]
        found.append(self._detect(tile) + np.tile([left, top], 4))
    found = np.concatenate(found)
    return _merge(found, np.ones(len(found)))


class _Network:
  """One network, run on one thread so that its results never change."""

  def __init__(self, content: bytes):
    self._interpreter = Interpreter(model_content=content, num_threads=1)
    self._interpreter.allocate_tensors()
    (self._input,) = self._interpreter.get_input_details()
    self._outputs = self._interpreter.get_output_details()

  def __call__(self, image: np.ndarray, count: int) -> list[np.ndarray]:
    """Runs it on [H, W, 3] float32; returns the first `count` outputs."""
    self._interpreter.set_tensor(self._input["index"], image[None])
    self._interpreter.invoke()
    return [
      self._interpreter.get_tensor(output["index"])
      for output in self._outputs[:count]
    ]


def _anchors() -> np.ndarray:
  """Returns the detector's anchor centres, [896, 2] float64 in [0, 1]."""
  grids = []
  for cells, repeats in ((16, 2), (8, 6)):
    centres = (np.arange(cells) + 0.5) / cells
    y, x = np.meshgrid(centres, centres, indexing="ij")
    grid = np.stack([x, y], axis=-1).reshape(-1, 2)
    grids.append(np.repeat(grid, repeats, axis=0))
  return np.concatenate(grids)


def _merge(found: np.ndarray, scores: np.ndarray) -> np.ndarray:
  """Averages detections of the same face, weighted by their scores.

  Args:
    found: [K, 8] float64, boxes and eyes.
    scores: [K] float64.

  Returns:
    [F, 8] float64, the highest score first.
  """
  left = np.argsort(-scores, kind="stable")
  merged = []
  while left.size:
    same = box_iou(found[left[0], :4], found[left, :4]) >= _SAME_FACE_IOU
    same[0] = True
    group = left[same]
    merged.append(np.average(found[group], axis=0, weights=scores[group]))
    left = left[~same]
  return np.array(merged).reshape(-1, 8)


def box_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
  """Returns the intersection over union of one box and others.

  Args:
    box: [4] x0, y0, x1, y1.
    boxes: [K, 4].

  Returns:
    [K] float64 in [0, 1].
  """
  low = np.maximum(box[:2], boxes[:, :2])
  high = np.minimum(box[2:], boxes[:, 2:])
  shared = np.prod(np.maximum(high - low, 0), axis=1)
  areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
  return shared / (np.prod(box[2:] - box[:2]) + areas - shared)


def _detection_region(detection: np.ndarray) -> np.ndarray:
  box, eyes = detection[:4], detection[4:].reshape(2, 2)
  return _region(box[:2], box[2:], eyes)


def _mesh_region(points: np.ndarray) -> np.ndarray:
  flat = points[:, :2].astype(np.float64)
  return _region(flat.min(axis=0), flat.max(axis=0), flat[list(_EYE_CORNERS)])


def _region(low: np.ndarray, high: np.ndarray, eyes: np.ndarray) -> np.ndarray:
  """Returns centre x, centre y, side, angle of a face's square."""
  centre = (low + high) / 2
  side = _REGION_SCALE * np.max(high - low)
  across = eyes[1] - eyes[0]
  return np.array([*centre, side, np.arctan2(across[1], across[0])])


def _region_matrix(region: np.ndarray, size: int) -> np.ndarray:
  """Returns the map from a square's own pixels to the picture's.

  Args:
    region: centre x, centre y, side, angle in radians.
    size: pixels the square is sampled to.

  Returns:
    [2, 3] float64; both sides count from the corner of the first pixel.
  """
  x, y, side, angle = region
  scale = side / size
  cos, sin = scale * np.cos(angle), scale * np.sin(angle)
  turn = np.array([[cos, -sin], [sin, cos]])
  offset = np.array([x, y]) - turn @ np.array([size / 2, size / 2])
  return np.column_stack([turn, offset])


def _sample(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
  """Samples a square bilinearly; what lies outside the picture is black."""
  # OpenCV counts from pixel centres.
  centred = matrix.copy()
  centred[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
  return cv2.warpAffine(
    rgb,
    centred,
    (size, size),
    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    borderMode=cv2.BORDER_CONSTANT,
  )


def _tile_starts(length: int, side: int) -> list[int]:
  """Places tiles that overlap by at least half, from edge to edge."""
  if length <= side:
    return [0]
  count = -(-2 * (length - side) // side) + 1
  return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _sigmoid(logit: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-np.clip(logit, -100, 100)))
