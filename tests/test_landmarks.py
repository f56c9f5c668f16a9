import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from input_pipeline import landmarks_mediapipe
from input_pipeline.errors import InputError
from input_pipeline.landmarks import (
  MESH_POINTS,
  load_landmarks,
  open_landmarker,
  track_faces,
)
from input_pipeline.video import FrameReader, index_video, source_frames


@pytest.fixture(scope="module")
def portrait():
  """[512, 512, 3] uint8: Eileen Collins, her face 89 pixels wide."""
  data = pytest.importorskip(
    "skimage.data", reason="scikit-image, which holds the portrait"
  )
  return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="module")
def landmarker(landmark_model):
  with open_landmarker("litert", landmark_model) as opened:
    yield opened


@pytest.fixture(scope="module")
def mediapipe(landmark_model):
  try:
    opened = open_landmarker("mediapipe", landmark_model)
  except InputError as error:
    pytest.skip(str(error))
  with opened:
    yield opened


def canvas(height, width, *placed):
  """A grey picture with others placed on it: (picture, left, top)."""
  picture = np.full((height, width, 3), 90, np.uint8)
  for part, left, top in placed:
    picture[top : top + part.shape[0], left : left + part.shape[1]] = part
  return picture


def scaled(picture, size):
  return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def distance(first, second):
  """Mean distance of two meshes, as a share of the face's width."""
  apart = np.linalg.norm(first[:, :2] - second[:, :2], axis=1).mean()
  return apart / np.ptp(second[:, 0])


def test_points_lie_where_the_face_is(landmarker, portrait):
  (face,) = landmarker.faces(portrait)
  assert face.dtype == np.float32
  assert face.shape == (MESH_POINTS, 3)
  # Read off the enlarged picture by eye: her right iris, left iris, the tip
  # of her nose and the bottom of her chin.
  seen = np.array([[201, 100], [247, 103], [226, 126], [223, 178]])
  found = face[[468, 473, 4, 152], :2]
  assert np.abs(found - seen).max() < 5


def test_points_move_with_the_picture(landmarker, portrait):
  (face,) = landmarker.faces(portrait)
  (moved,) = landmarker.faces(canvas(600, 700, (portrait, 131, 57)))
  assert distance(moved - [131, 57, 0], face) < 0.01
  (larger,) = landmarker.faces(cv2.resize(portrait, (1024, 1024)))
  assert distance(larger / 2, face) < 0.01


def test_a_tilted_face_is_found_with_its_tilt(landmarker, portrait):
  (face,) = landmarker.faces(portrait)
  turn = cv2.getRotationMatrix2D((226, 126), 40, 1.0)
  turned = cv2.warpAffine(portrait, turn, (512, 512))
  (found,) = landmarker.faces(turned)
  expected = face[:, :2] @ turn[:, :2].T + turn[:, 2]
  assert distance(found, expected) < 0.02


def test_no_face(landmarker):
  noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
  assert landmarker.faces(noise).shape == (0, MESH_POINTS, 3)
  black = np.zeros((64, 64, 3), np.uint8)
  assert landmarker.faces(black).shape == (0, MESH_POINTS, 3)


def test_the_larger_face_comes_first(landmarker, portrait):
  small, large = scaled(portrait, 360), portrait
  for places in ((0, 400), (520, 0)):
    picture = canvas(
      512, 1024, (small, places[0], 0), (large[:, :500], places[1], 0)
    )
    faces = landmarker.faces(picture)
    widths = np.ptp(faces[:, :, 0], axis=1)
    assert len(faces) == 2
    assert widths[0] == pytest.approx(89, rel=0.1)
    assert widths[1] == pytest.approx(63, rel=0.1)


def test_a_face_of_a_twentieth_of_the_picture_is_found(landmarker, portrait):
  (face,) = landmarker.faces(portrait)
  picture = canvas(1080, 1920, (scaled(portrait, 600), 1100, 400))
  # Too small for the detector on the whole picture.
  assert not len(landmarker._detect(picture))
  (found,) = landmarker.faces(picture)
  expected = face[:, :2] * (600 / 512) + [1100, 400]
  assert distance(found, expected) < 0.02


def test_refining_converges(landmarker, portrait):
  (face,) = landmarker.faces(portrait)
  further, presence = landmarker.follow(portrait, face)
  assert presence > 0.9
  assert distance(further, face) < 0.006


def test_another_process_gives_the_same_bits(
  landmarker, landmark_model, portrait, tmp_path
):
  np.save(tmp_path / "portrait.npy", portrait)
  script = (
    "import sys, hashlib, numpy as np\n"
    "from input_pipeline.landmarks import open_landmarker, track_faces\n"
    "picture = np.load(sys.argv[2])\n"
    "with open_landmarker('litert', sys.argv[1]) as landmarker:\n"
    "  track = track_faces(landmarker, [picture] * 3)\n"
    "print(hashlib.sha256(track.landmarks.tobytes()).hexdigest())\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", script, landmark_model, tmp_path / "portrait.npy"],
    capture_output=True,
    text=True,
    check=True,
    timeout=60,
  )
  here = track_faces(landmarker, [portrait] * 3).landmarks
  assert done.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_a_face_is_followed_lost_and_found_again(landmarker, portrait):
  shifted = [np.roll(portrait, 4 * i, axis=1) for i in range(6)]
  empty = np.full_like(portrait, 90)
  track = track_faces(landmarker, [*shifted, empty, empty, *shifted])
  found = np.isfinite(track.landmarks).all(axis=(1, 2))
  assert found.tolist() == [True] * 6 + [False] * 2 + [True] * 6
  assert (track.presence > 0.5).tolist() == found.tolist()
  nose = track.landmarks[:6, 4, 0]
  np.testing.assert_allclose(np.diff(nose), 4, atol=1)


def test_the_first_face_is_kept_when_a_larger_one_comes(landmarker, portrait):
  small = scaled(portrait, 360)
  alone = canvas(512, 1024, (small, 0, 0))
  both = canvas(512, 1024, (small, 0, 0), (portrait, 450, 0))
  track = track_faces(landmarker, [alone] * 20 + [both] * 10)
  assert (track.landmarks[:, 4, 0] < 300).all()
  # Other faces are looked for on every 25th frame.
  assert track.num_faces.tolist() == [1] * 25 + [2] * 5


def test_after_a_cut_the_new_place_is_found_at_once(landmarker, portrait):
  left = canvas(512, 1100, (portrait, 0, 0))
  right = canvas(512, 1100, (portrait, 580, 0))
  track = track_faces(landmarker, [left] * 3 + [right] * 3)
  assert np.isfinite(track.landmarks).all()
  assert (track.landmarks[3:, 4, 0] > 600).all()


class Scripted:
  """A landmarker that is sure of itself and says what it was told."""

  def __init__(self, detected, followed):
    self._detected, self._followed = iter(detected), followed

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    pass

  def faces(self, rgb):
    return next(self._detected)

  def follow(self, rgb, previous):
    return self._followed, 1.0


def test_a_mesh_that_jumps_is_not_believed(portrait):
  square = np.random.default_rng(0).random((MESH_POINTS, 3)) * 100
  detected = np.array([square], np.float32)
  moved = square + [20, 0, 0]
  for followed, kept in ((moved, moved), (square + 90, square)):
    scripted = Scripted([detected] * 2, followed)
    track = track_faces(scripted, [portrait] * 2)
    np.testing.assert_allclose(track.landmarks[1], kept[:, :2], rtol=1e-5)


def test_a_lost_face_is_known_again_by_its_place(portrait):
  square = np.random.default_rng(0).random((MESH_POINTS, 3)) * 100
  larger = 2 * square + [300, 0, 0]
  both = np.array([larger, square + 5], np.float32)
  detected = [np.array([square], np.float32), both]
  track = track_faces(Scripted(detected, square + 90), [portrait] * 2)
  np.testing.assert_allclose(track.landmarks[1], (square + 5)[:, :2], rtol=1e-5)


def test_no_frames_give_an_empty_track(landmarker):
  assert track_faces(landmarker, []).landmarks.shape == (0, MESH_POINTS, 2)


def test_mediapipe_agrees_on_a_portrait(landmarker, mediapipe, portrait):
  (ours,), (theirs,) = landmarker.faces(portrait), mediapipe.faces(portrait)
  assert distance(ours, theirs) < 0.01
  assert np.abs(ours[:, 2] - theirs[:, 2]).mean() < 0.02 * np.ptp(theirs[:, 0])


def test_mediapipe_agrees_on_filmed_faces(landmarker, mediapipe, shared):
  for name in ("speaker_2.mp4", "speaker_5.mp4"):
    index = index_video(shared / "clips" / name)
    with FrameReader(index) as reader:
      frames = list(reader.read(source_frames(index, 25)[:30]))
    track = track_faces(landmarker, frames)
    assert track.presence.min() > 0.9
    theirs = track_faces(mediapipe, frames[::10]).landmarks
    apart = [
      distance(ours, other)
      for ours, other in zip(track.landmarks[::10], theirs, strict=True)
    ]
    assert np.mean(apart) < 0.01


def test_mediapipe_reads_pictures_with_padded_rows(mediapipe, portrait):
  padded = np.zeros((512, 600, 3), np.uint8)
  padded[:, :500] = portrait[:, :500]
  (face,) = mediapipe.faces(padded[:, :500])
  (expected,) = mediapipe.faces(np.ascontiguousarray(portrait[:, :500]))
  assert np.array_equal(face, expected)


def test_mediapipe_that_ends_is_an_input_error(landmark_model, portrait):
  try:
    opened = open_landmarker("mediapipe", landmark_model)
  except InputError as error:
    pytest.skip(str(error))
  with opened:
    opened._child.kill()
    opened._child.join()
    with pytest.raises(InputError, match="libegl1 and libgles2"):
      opened.faces(portrait)


def test_mediapipe_that_hangs_is_ended(landmark_model, portrait, monkeypatch):
  try:
    opened = open_landmarker("mediapipe", landmark_model)
  except InputError as error:
    pytest.skip(str(error))
  monkeypatch.setattr(landmarks_mediapipe, "_FRAME_SECONDS", 0.0)
  with opened, pytest.raises(InputError, match="did not answer within"):
    opened.faces(portrait)
  assert not opened._child.is_alive()


def test_mediapipe_without_its_packages_says_what_to_install(monkeypatch):
  sent = []

  class Pipe:
    def send_bytes(self, content):
      sent.append(content)

  def create(model, max_faces):
    raise OSError("libEGL.so.1: cannot open shared object file")

  monkeypatch.setattr(landmarks_mediapipe, "_create", create)
  landmarks_mediapipe._serve(Pipe(), "model.task", 4)
  assert sent[0] == b"error"
  assert b"libEGL.so.1" in sent[1]


@pytest.mark.parametrize(
  ("kind", "message"),
  [("dlib", "litert or mediapipe"), ("litert", "not a face landmark model")],
)
def test_what_cannot_be_opened(tmp_path, kind, message):
  model = tmp_path / "model.task"
  model.write_bytes(b"not a zip file")
  with pytest.raises(InputError, match=message):
    open_landmarker(kind, model)


@pytest.mark.parametrize("axes", [2, 3])
def test_computed_landmarks_are_read_back(tmp_path, axes):
  points = np.random.default_rng(0).random((4, MESH_POINTS, axes))
  points[2, 7, 0] = np.nan
  np.savez(tmp_path / "a.npz", landmarks=points)
  track = load_landmarks(tmp_path / "a.npz")
  assert track.landmarks.dtype == np.float32
  assert track.presence.tolist() == [1, 1, 0, 1]
  assert np.isnan(track.landmarks[2]).all()
  expected = points[[0, 1, 3], :, :2].astype(np.float32)
  assert np.array_equal(track.landmarks[[0, 1, 3]], expected)


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"points": np.zeros((2, 478, 2))}, "no array named 'landmarks'"),
    ({"landmarks": np.zeros((2, 468, 2))}, r"\[2, 468, 2\] float64"),
    ({"landmarks": np.zeros((0, 478, 2))}, r"\[0, 478, 2\]"),
    ({"landmarks": np.zeros((2, 478, 2), int)}, "int64; expected"),
    ({"landmarks": np.array([{}, 1], object)}, "plain arrays"),
  ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
  np.savez(tmp_path / "a.npz", **arrays)
  with pytest.raises(InputError, match=message):
    load_landmarks(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken"])
def test_files_that_are_no_npz_are_refused(tmp_path, content):
  (tmp_path / "a.npz").write_bytes(content)
  with pytest.raises(InputError, match=r"not an \.npz file"):
    load_landmarks(tmp_path / "a.npz")
  with pytest.raises(InputError, match="no such file"):
    load_landmarks(tmp_path / "none.npz")
