# ruff: noqa: RUF001  (IPA letters look like others)
"""Speech is repeatable, its phonemes cover it, and errors name the remedy."""

import numpy as np
import pytest

from input_pipeline.errors import InputError
from input_pipeline.speech_synthesis import synthesize

pytest.importorskip("espeakng_loader")

TEXTS = ["Bob can pop a map.", "Two blue fish swam in the tank."]


@pytest.fixture(scope="module")
def speeches():
  return synthesize(TEXTS)


def test_the_same_texts_give_the_same_samples(speeches):
  again = synthesize(TEXTS)
  for first, second in zip(speeches, again, strict=True):
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.phonemes == second.phonemes


def test_samples_are_loud_16_bit_speech_at_22050_hz(speeches):
  for speech in speeches:
    assert speech.rate == 22050
    assert speech.samples.dtype == np.int16
    assert 1.0 < speech.seconds < 4.0
    assert np.abs(speech.samples).max() > 5000


def test_phonemes_are_those_of_the_words(speeches):
  sounds = [phoneme.ipa.strip("ˈˌ") for phoneme in speeches[0].phonemes]
  assert "".join(sounds).startswith("bɑːb")
  assert sounds[-4:-1] == ["m", "æ", "p"]


def test_phonemes_leave_no_gap_from_first_to_last_sample(speeches):
  for speech in speeches:
    starts = [phoneme.start_seconds for phoneme in speech.phonemes]
    ends = [phoneme.end_seconds for phoneme in speech.phonemes]
    assert starts[0] == 0.0
    assert starts[1:] == ends[:-1]
    assert ends[-1] == pytest.approx(speech.seconds)


def test_vowels_are_louder_than_the_silence_around_them(speeches):
  """The times belong to the samples: wrong units would not line up."""
  speech = speeches[0]
  loudness = {}
  for phoneme in speech.phonemes:
    first = round(phoneme.start_seconds * speech.rate)
    last = round(phoneme.end_seconds * speech.rate)
    level = np.abs(speech.samples[first:last].astype(float)).mean()
    loudness.setdefault(phoneme.ipa, []).append(level)
  assert min(loudness["ˈɑː"]) > 20 * max(loudness[""])


def test_missing_espeak_names_the_extra(tmp_path, monkeypatch):
  (tmp_path / "espeakng_loader.py").write_text("raise ImportError('gone')\n")
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  with pytest.raises(InputError, match=r"pip install 'synctalk-jax\[demo\]'"):
    synthesize(TEXTS)


def test_a_crash_of_the_library_is_an_input_error(tmp_path, monkeypatch):
  (tmp_path / "espeakng_loader.py").write_text("import os\nos.abort()\n")
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  with pytest.raises(InputError, match="espeak-ng crashed"):
    synthesize(TEXTS)
