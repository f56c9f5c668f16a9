# ruff: noqa: RUF001  (IPA letters look like others)
"""From phoneme times to the shape of the mouth.

Each sound has a target shape and a dominance; the shape at any moment is the
mean of the targets around it, weighted by dominance and by a Gaussian in
time. That is Cohen and Massaro's co-articulation ("Modeling coarticulation
in synthetic visual speech", 1993) with a Gaussian instead of an exponential.
What must not be blended away is a limit: the lips meet for p, b and m.

The targets are set by hand. Their order is phonetics: the opening follows
the vowel height of the IPA chart, the rounding its rounded vowels, and the
consonants fall into the viseme classes of MPEG-4 (ISO/IEC 14496-2). The
sizes fit an adult who speaks plainly.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from input_pipeline.errors import InputError
from input_pipeline.speech_synthesis import Phoneme

REST_WIDTH = 0.335


@dataclasses.dataclass(frozen=True)
class Viseme:
  """What a sound asks of the lips.

  Attributes:
    opening: gap of the inner lips, in face heights.
    width: distance of the corners, in face heights.
    rounding: 0 flat to 1 pursed.
    dominance: how much it resists its neighbours.
    limit: the opening that is never exceeded while it lasts, or None.
  """

  opening: float
  width: float
  rounding: float = 0.0
  dominance: float = 1.0
  limit: float | None = None


@dataclasses.dataclass(frozen=True)
class MouthCurves:
  """The mouth over time, [frames] float64 each.

  Attributes:
    opening: gap of the inner lips, in face heights.
    width: distance of the mouth's corners, in face heights.
    rounding: 0 flat to 1 pursed.
  """

  opening: np.ndarray
  width: np.ndarray
  rounding: np.ndarray


SILENCE = Viseme(0.0, REST_WIDTH, dominance=0.6)

# Spaces separate the IPA symbols that share a viseme.
_CLASSES = (
  # Consonants, from the lips to the throat.
  ("p b m", Viseme(0.0, 0.335, 0.0, 1.5, limit=0.0)),
  ("f v", Viseme(0.012, 0.345, 0.0, 1.2, limit=0.014)),
  ("w ʍ", Viseme(0.022, 0.260, 0.9, 1.3)),
  ("θ ð", Viseme(0.030, 0.340, 0.0, 0.6)),
  ("t d ɾ n", Viseme(0.022, 0.345, 0.0, 0.4)),
  ("l ɫ", Viseme(0.034, 0.340, 0.0, 0.4)),
  ("s z", Viseme(0.016, 0.355, 0.0, 0.8)),
  ("ʃ ʒ", Viseme(0.026, 0.290, 0.6, 1.0)),
  ("ɹ r", Viseme(0.030, 0.300, 0.4, 0.8)),
  ("j", Viseme(0.026, 0.360, 0.0, 0.7)),
  ("k ɡ g ŋ x", Viseme(0.035, 0.335, 0.0, 0.3)),
  ("h ʔ", Viseme(0.040, 0.335, 0.0, 0.1)),
  # Vowels, from close to open.
  ("i", Viseme(0.030, 0.375, 0.0, 1.0)),
  ("ɪ ɨ ᵻ", Viseme(0.040, 0.355, 0.0, 0.8)),
  ("e", Viseme(0.052, 0.360, 0.0, 1.0)),
  ("ɛ", Viseme(0.064, 0.352, 0.0, 1.0)),
  ("æ", Viseme(0.086, 0.358, 0.0, 1.1)),
  ("a", Viseme(0.100, 0.345, 0.0, 1.1)),
  ("ɑ", Viseme(0.104, 0.328, 0.0, 1.1)),
  ("ʌ ɐ", Viseme(0.066, 0.335, 0.0, 0.8)),
  ("ə", Viseme(0.042, 0.333, 0.0, 0.5)),
  ("ɜ ɚ ɝ", Viseme(0.044, 0.312, 0.3, 0.9)),
  ("ɔ ɒ", Viseme(0.080, 0.295, 0.6, 1.1)),
  ("o", Viseme(0.062, 0.280, 0.75, 1.1)),
  ("ʊ", Viseme(0.040, 0.290, 0.6, 0.9)),
  ("u", Viseme(0.030, 0.250, 1.0, 1.2)),
)
VISEMES = {
  symbol: viseme for symbols, viseme in _CLASSES for symbol in symbols.split()
}
# Stress, length, syllabicity, nasality, palatalisation, aspiration: they do
# not change the class.
_MODIFIERS = frozenset("ˈˌːˑ\u0329\u0303\u0361ʲʰ-")

_STEP_SECONDS = 0.001
_OPENING_SIGMA_SECONDS = 0.035
# Lips round and spread ahead of the sound and slower than the jaw.
_LIPS_SIGMA_SECONDS = 0.055
# A limit holds for longer than a frame lasts, so that a frame shows it, ...
_LIMIT_SECONDS = 0.05
# ... and lets go over this time, up to an opening that no sound reaches.
_RELEASE_SECONDS = 0.07
_RELEASED = 0.12


def mouth_curves(
  phonemes: Sequence[Phoneme], frame_count: int, fps: float
) -> MouthCurves:
  """The mouth at each frame's time stamp, `index / fps` seconds.

  Args:
    phonemes: in order; what they leave out is silence.
    frame_count: number of frames.
    fps: frames a second.

  Raises:
    InputError: a phoneme that no viseme is known for.
  """
  steps = round(frame_count / fps / _STEP_SECONDS) + 1
  time = np.arange(steps) * _STEP_SECONDS
  # Columns: opening, width, rounding, dominance.
  score = np.tile(_row(SILENCE), (steps, 1))
  limit = np.full(steps, _RELEASED)
  for viseme, start, end in _timed_visemes(phonemes):
    score[round(start / _STEP_SECONDS) : round(end / _STEP_SECONDS)] = _row(
      viseme
    )
    if viseme.limit is not None:
      limit = np.minimum(limit, _limit_curve(time, viseme.limit, start, end))
  weight = score[:, 3]
  opening = _blend(score[:, 0], weight, _OPENING_SIGMA_SECONDS)
  frames = np.arange(frame_count) / fps
  return MouthCurves(
    opening=np.interp(frames, time, np.minimum(opening, limit)),
    width=np.interp(
      frames, time, _blend(score[:, 1], weight, _LIPS_SIGMA_SECONDS)
    ),
    rounding=np.interp(
      frames, time, _blend(score[:, 2], weight, _LIPS_SIGMA_SECONDS)
    ),
  )


def _timed_visemes(
  phonemes: Sequence[Phoneme],
) -> list[tuple[Viseme, float, float]]:
  """Visemes with start and end seconds; diphthongs share their time."""
  timed = []
  for phoneme in phonemes:
    symbols = [symbol for symbol in phoneme.ipa if symbol not in _MODIFIERS]
    unknown = [symbol for symbol in symbols if symbol not in VISEMES]
    if unknown:
      raise InputError(
        f"espeak-ng spoke {phoneme.ipa!r}, but no mouth shape is known for "
        f"{unknown[0]!r}; use English sentences"
      )
    edges = np.linspace(
      phoneme.start_seconds, phoneme.end_seconds, len(symbols) + 1
    )
    timed += [
      (VISEMES[symbol], float(start), float(end))
      for symbol, (start, end) in zip(
        symbols, itertools.pairwise(edges), strict=True
      )
    ]
  return timed


def _row(viseme: Viseme) -> tuple[float, float, float, float]:
  return viseme.opening, viseme.width, viseme.rounding, viseme.dominance


def _limit_curve(
  time: np.ndarray, limit: float, start: float, end: float
) -> np.ndarray:
  """The greatest opening allowed around one sound, [steps] float64."""
  hold = max(end - start, _LIMIT_SECONDS) / 2
  away = np.abs(time - (start + end) / 2) - hold
  release = np.clip(away / _RELEASE_SECONDS, 0.0, 1.0)
  smooth = release * release * (3.0 - 2.0 * release)
  return limit + (_RELEASED - limit) * smooth


def _blend(
  targets: np.ndarray, weights: np.ndarray, sigma_seconds: float
) -> np.ndarray:
  """Mean of the targets, weighted by dominance and a Gaussian in time."""
  sigma = sigma_seconds / _STEP_SECONDS
  reach = round(4 * sigma)
  kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)

  def smooth(values: np.ndarray) -> np.ndarray:
    return np.convolve(np.pad(values, reach, mode="edge"), kernel, "valid")

  return smooth(targets * weights) / smooth(weights)
