# ruff: noqa: RUF001  (IPA letters look like others)
"""The mouth closes where it must and takes the shapes that sounds have."""

import itertools

import numpy as np
import pytest

from input_pipeline.errors import InputError
from input_pipeline.speech_synthesis import Phoneme
from input_pipeline.visemes import REST_WIDTH, VISEMES, mouth_curves

FPS = 25


def _spoken(*sounds: str, seconds: float = 0.2, start: float = 0.5):
  """Phonemes of equal length, silence around them."""
  times = start + seconds * np.arange(len(sounds) + 1)
  return [
    Phoneme(ipa, float(begin), float(end))
    for ipa, (begin, end) in zip(sounds, itertools.pairwise(times), strict=True)
  ]


def test_silence_is_a_closed_mouth_at_rest():
  curves = mouth_curves([], 30, FPS)
  assert not curves.opening.any()
  assert not curves.rounding.any()
  np.testing.assert_allclose(curves.width, REST_WIDTH)


def test_the_mouth_is_closed_between_two_sentences():
  phonemes = _spoken("a") + _spoken("a", start=1.5)
  curves = mouth_curves(phonemes, 50, FPS)
  assert curves.opening[[15, 40]].min() > 0.08
  assert not curves.opening[23:32].any()


@pytest.mark.parametrize("sound", ["p", "b", "m"])
@pytest.mark.parametrize("offset", np.arange(0, 0.04, 0.005))
def test_some_frame_shows_the_lips_closed(sound, offset):
  """Even a stop of 15 ms between open vowels, wherever frames fall."""
  start = 0.5 + offset
  phonemes = [
    Phoneme("ɑː", start - 0.3, start),
    Phoneme(sound, start, start + 0.015),
    Phoneme("ɑː", start + 0.015, start + 0.3),
  ]
  opening = mouth_curves(phonemes, 30, FPS).opening
  near = opening[round(start * FPS) - 2 : round(start * FPS) + 4]
  assert near.min() < 1e-4
  assert opening.max() > 0.08


def test_the_mouth_moves_with_the_sound():
  """The vowel lasts from 0.5 to 0.7 s; so does the opening, on average."""
  for start in (0.5, 0.513):
    opening = mouth_curves(_spoken("a", start=start), 40, FPS).opening
    middle = (opening * np.arange(40) / FPS).sum() / opening.sum()
    assert middle == pytest.approx(start + 0.1, abs=0.004)


def test_teeth_stay_on_the_lip_for_f():
  opening = mouth_curves(_spoken("ɑː", "f", "ɑː"), 40, FPS).opening
  assert 0.005 < opening[20] <= VISEMES["f"].limit


def test_long_vowels_reach_their_targets():
  for symbol in ("i", "ɑ", "u", "æ", "o"):
    curves = mouth_curves(_spoken(symbol, seconds=0.8), 50, FPS)
    target = VISEMES[symbol]
    assert curves.opening[22] == pytest.approx(target.opening, abs=1e-3)
    assert curves.width[22] == pytest.approx(target.width, abs=1e-3)
    assert curves.rounding[22] == pytest.approx(target.rounding, abs=1e-2)


def test_vowels_are_ordered_as_in_the_ipa_chart():
  height = [VISEMES[symbol].opening for symbol in "iɪeɛæa"]
  assert height == sorted(height)
  assert VISEMES["u"].width < VISEMES["o"].width < VISEMES["i"].width
  assert VISEMES["u"].rounding > VISEMES["ʊ"].rounding > VISEMES["a"].rounding


def test_weak_consonants_take_on_the_vowel_around_them():
  between_u = mouth_curves(_spoken("u", "k", "u", seconds=0.1), 40, FPS)
  between_i = mouth_curves(_spoken("i", "k", "i", seconds=0.1), 40, FPS)
  assert between_u.rounding[16] > 0.6
  assert between_i.rounding[16] == 0.0


def test_a_diphthong_goes_from_its_first_to_its_second_vowel():
  opening = mouth_curves(_spoken("aɪ", seconds=0.5), 40, FPS).opening
  assert opening[15] > 0.09
  assert opening[22] < 0.05


def test_an_unknown_sound_is_named():
  with pytest.raises(InputError, match="'ʘ'"):
    mouth_curves(_spoken("ʘ"), 30, FPS)
