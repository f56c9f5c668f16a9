"""The sound track: what is held out, and where everything begins."""

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from input_pipeline.demo_script import (
  HELDOUT_SENTENCES,
  TRAINING_SENTENCES,
  record_track,
)
from input_pipeline.errors import InputError
from input_pipeline.visemes import mouth_curves

FPS = 25


@pytest.fixture(scope="module")
def track():
  return record_track(4.0, 3.0, FPS)


def test_no_sentence_is_both_learned_and_held_out():
  assert not set(TRAINING_SENTENCES) & set(HELDOUT_SENTENCES)
  assert len(set(TRAINING_SENTENCES)) == len(TRAINING_SENTENCES)


def test_held_out_sentences_lie_behind_the_boundary(track):
  boundary = track.heldout_start_frame / FPS
  learned = [entry for entry in track.sentences if not entry.held_out]
  heldout = [entry for entry in track.sentences if entry.held_out]
  assert max(entry.end_seconds for entry in learned) < boundary
  assert min(entry.start_seconds for entry in heldout) > boundary
  assert {entry.text for entry in learned} <= set(TRAINING_SENTENCES)
  assert {entry.text for entry in heldout} <= set(HELDOUT_SENTENCES)


def test_parts_last_as_long_as_asked_and_whole_frames(track):
  assert 4.0 <= track.heldout_start_frame / FPS < 8.0
  assert 3.0 <= (track.frame_count - track.heldout_start_frame) / FPS < 6.5
  assert len(track.samples) == track.frame_count * track.rate // FPS


def test_sound_lies_inside_the_sentences_only(track):
  speech = np.zeros(len(track.samples), bool)
  for entry in track.sentences:
    first = round(entry.start_seconds * track.rate)
    last = round(entry.end_seconds * track.rate)
    speech[first:last] = True
    level = np.abs(track.samples[first:last].astype(int)).mean()
    assert level > 500
  assert not track.samples[~speech].any()
  assert not speech[: track.rate // 2].any()


def test_a_sentence_sounds_the_same_in_a_longer_track(track):
  longer = record_track(6.5, 3.0, FPS)
  assert longer.frame_count > track.frame_count
  first = track.sentences[0]
  end = round(first.end_seconds * track.rate)
  np.testing.assert_array_equal(longer.samples[:end], track.samples[:end])


def test_every_sound_of_every_sentence_has_a_mouth_shape():
  whole = record_track(80.0, 25.0, FPS)
  assert len(whole.sentences) >= 38
  curves = mouth_curves(whole.phonemes, whole.frame_count, FPS)
  assert curves.opening.max() > 0.08


@pytest.mark.parametrize(
  ("seconds", "flag"),
  [((999.0, 3.0), "--training-seconds 999"), ((4.0, 99), "--heldout-seconds")],
)
def test_more_than_there_is_names_the_flag(seconds, flag):
  with pytest.raises(InputError, match=flag):
    record_track(*seconds, FPS)
