"""Each check passes on good footage and warns on the one fault it is for."""

import dataclasses

import numpy as np
import pytest

from input_pipeline import footage

FPS = 25
FRAMES = 70 * FPS


def speech(seconds: float) -> np.ndarray:
  """[n] int16: a hum that swells and fades twice a second."""
  time = np.arange(round(seconds * 16_000)) / 16_000
  level = 0.15 + 0.1 * np.sin(4 * np.pi * time)
  return (32_767 * level * np.sin(2 * np.pi * 180 * time)).astype(np.int16)


def good_footage() -> footage.Footage:
  rng = np.random.default_rng(2)
  landmarks = np.zeros((FRAMES, 478, 2), np.float32)
  landmarks[:, 234, 0], landmarks[:, 454, 0] = 100, 350
  landmarks[:, 4, 0] = 225 + rng.normal(0, 3, FRAMES)
  boxes = np.tile([100.0, 150.0, 250.0], (FRAMES, 1))
  boxes[:, 0] += 20 * np.sin(np.arange(FRAMES) / 25)
  quality = np.tile([0.02, 0.001, 0.0], (FRAMES, 1))
  everywhere = np.ones(FRAMES, bool)
  return footage.Footage(
    fps=FPS,
    crop_size=328,
    landmarks=landmarks,
    num_faces=np.ones(FRAMES, np.int8),
    raw_boxes=boxes,
    boxes=boxes,
    found=everywhere,
    usable=everywhere,
    overhang=np.zeros(FRAMES),
    quality=quality,
    samples=speech(FRAMES / FPS),
    missing_seconds=0.0,
  )


def changed(array: np.ndarray, where, value) -> np.ndarray:
  array = array.copy()
  array[where] = value
  return array


FAULTS = {
  "Frames with a face": lambda good: {
    "found": changed(good.found, slice(0, 100), False)
  },
  "Frames with several faces": lambda good: {
    "num_faces": changed(good.num_faces, slice(0, 40), 2)
  },
  "Face width": lambda good: {"boxes": good.boxes * [1, 1, 0.6]},
  "Cuts and jumps": lambda good: {
    "raw_boxes": good.raw_boxes
    + np.where(np.arange(FRAMES)[:, None] > 700, [80, 0, 0], 0)
  },
  "Crop outside the picture": lambda good: {
    "overhang": changed(good.overhang, slice(0, 200), 0.2)
  },
  "Blurred frames": lambda good: {
    "quality": changed(good.quality, (slice(0, 200), 0), 0.005)
  },
  "Black or white pixels in the crop": lambda good: {
    "quality": changed(good.quality, (slice(None), 2), 0.08)
  },
  "Head turn": lambda good: {
    "landmarks": changed(good.landmarks, (slice(0, 200), 4, 0), 300)
  },
  "Loudness of speech": lambda good: {"samples": good.samples // 40},
  "Overdriven sound": lambda good: {
    "samples": changed(good.samples, slice(0, None, 5_000), -32_768)
  },
  "Silence": lambda good: {
    "samples": changed(good.samples, slice(0, 40 * 16_000), 0)
  },
  "Sound shorter than the picture": lambda good: {"missing_seconds": 0.5},
}


def statuses(evidence: footage.Footage) -> dict[str, str]:
  return {
    finding.name: finding.status for finding in footage.check_footage(evidence)
  }


def test_good_footage_passes_every_check():
  assert statuses(good_footage()) == dict.fromkeys(FAULTS, footage.PASS)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_named_and_nothing_else(name):
  good = good_footage()
  evidence = dataclasses.replace(good, **FAULTS[name](good))
  expected = dict.fromkeys(FAULTS, footage.PASS) | {name: footage.WARN}
  assert statuses(evidence) == expected


def test_less_than_a_minute_is_short():
  assert footage.check_length(59.9).status == footage.WARN
  assert footage.check_length(60.0).status == footage.PASS


def test_only_a_warning_carries_a_remedy():
  good = good_footage()
  evidence = dataclasses.replace(good, missing_seconds=0.5)
  for finding in footage.check_footage(evidence):
    assert bool(finding.remedy) == (finding.status == footage.WARN)
    assert finding.measured
    assert finding.wanted


def test_hardly_any_face_fails():
  good = good_footage()
  found = np.arange(FRAMES) < 0.05 * FRAMES
  evidence = dataclasses.replace(good, found=found)
  assert statuses(evidence)["Frames with a face"] == footage.FAIL
  assert not footage.enough_faces(found)
  assert footage.enough_faces(np.arange(FRAMES) < 0.2 * FRAMES)


def test_silent_track_warns_without_arithmetic_warnings():
  good = good_footage()
  found = statuses(
    dataclasses.replace(good, samples=np.zeros_like(good.samples))
  )
  assert found["Silence"] == footage.WARN
  assert found["Loudness of speech"] == footage.WARN


def test_level_of_a_full_scale_sine():
  time = np.arange(16_000) / 16_000
  sine = (32_767 * np.sin(2 * np.pi * 200 * time)).astype(np.int16)
  np.testing.assert_allclose(footage.level_db(sine), -3.01, atol=0.01)


def test_face_that_was_away_is_no_cut():
  boxes = np.tile([0.0, 0.0, 100.0], (20, 1))
  boxes[10:] += [60, 0, 0]
  assert footage.cut_frames(boxes).tolist() == [10]
  boxes[8:10] = np.nan
  assert footage.cut_frames(boxes).tolist() == []
