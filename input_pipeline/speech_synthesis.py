"""Speech with known phoneme times, from the C library of espeak-ng.

The library (GPL-3.0-or-later) is the one that the user installed with the
`espeakng-loader` wheel; it is called through ctypes and not distributed with
this program.
"""

import ctypes
import dataclasses
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from input_pipeline.errors import EXIT_BAD_INPUT, InputError, run_command

# From espeak-ng's speak_lib.h, API revision 12.
# Hand the samples to the callback and return when all are made.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_PHONEME_IPA = 0x0002
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7
_PARAMETER_RATE = 1
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_EE_OK = 0

VOICE = "en-us"
WORDS_PER_MINUTE = 150

_TIMEOUT_SECONDS = 120
_REINSTALL = (
  "install it anew: pip install --force-reinstall 'synctalk-jax[demo]'"
)


class _EventId(ctypes.Union):
  _fields_ = (
    ("number", ctypes.c_int),
    ("name", ctypes.c_char_p),
    ("string", ctypes.c_char * 8),
  )


class _Event(ctypes.Structure):
  _fields_ = (
    ("type", ctypes.c_int),
    ("unique_identifier", ctypes.c_uint),
    ("text_position", ctypes.c_int),
    ("length", ctypes.c_int),
    ("audio_position", ctypes.c_int),
    ("sample", ctypes.c_int),
    ("user_data", ctypes.c_void_p),
    ("id", _EventId),
  )


_SynthCallback = ctypes.CFUNCTYPE(
  ctypes.c_int,
  ctypes.POINTER(ctypes.c_short),
  ctypes.c_int,
  ctypes.POINTER(_Event),
)


@dataclasses.dataclass(frozen=True)
class Phoneme:
  """One sound.

  Attributes:
    ipa: its IPA symbols, "" for silence.
    start_seconds: when it begins.
    end_seconds: when the next one begins, or the speech ends.
  """

  ipa: str
  start_seconds: float
  end_seconds: float


@dataclasses.dataclass(frozen=True)
class Speech:
  """A spoken text.

  Attributes:
    samples: [samples] int16, mono.
    rate: sampling rate, Hz.
    phonemes: in order, without gaps, from 0 to the end.
  """

  samples: np.ndarray
  rate: int
  phonemes: tuple[Phoneme, ...]

  @property
  def seconds(self) -> float:
    """Duration."""
    return len(self.samples) / self.rate


def synthesize(texts: Sequence[str]) -> list[Speech]:
  """Speaks English texts; the same list always gives the same samples.

  The library works in a child process: its flutter and breath run on from
  call to call, so that only a fresh process repeats itself, and a crash in C
  ends the child alone.

  Raises:
    InputError: espeak-ng is not installed or refuses to work.
  """
  try:
    child = subprocess.run(
      [sys.executable, "-m", "input_pipeline.speech_synthesis"],
      input=json.dumps(list(texts)).encode(),
      capture_output=True,
      cwd=Path(__file__).resolve().parents[1],
      timeout=_TIMEOUT_SECONDS,
    )
  except subprocess.TimeoutExpired as error:
    raise InputError(
      f"espeak-ng was not done with {len(texts)} texts after "
      f"{_TIMEOUT_SECONDS} s; try again on a less busy machine"
    ) from error
  if child.returncode == EXIT_BAD_INPUT:
    raise InputError(child.stderr.decode().strip().removeprefix("error: "))
  if child.returncode != 0:
    raise InputError(
      f"espeak-ng crashed (status {child.returncode}: "
      f"{child.stderr.decode().strip()[-200:]}); {_REINSTALL}"
    )
  answer = np.load(io.BytesIO(child.stdout), allow_pickle=False)
  rate = int(answer["rate"])
  speeches = []
  for index in range(len(texts)):
    samples = answer[f"samples_{index}"]
    marks = json.loads(str(answer[f"marks_{index}"]))
    speeches.append(Speech(samples, rate, _phonemes(marks, len(samples), rate)))
  return speeches


def main() -> None:
  """The child: a JSON list of texts on stdin, an .npz on stdout."""
  texts = json.load(sys.stdin)
  library, rate = _open_espeak()
  answer = {"rate": np.array(rate)}
  for index, text in enumerate(texts):
    samples, marks = _speak(library, text)
    answer[f"samples_{index}"] = samples
    answer[f"marks_{index}"] = np.array(json.dumps(marks))
  packed = io.BytesIO()
  np.savez(packed, **answer)
  sys.stdout.buffer.write(packed.getvalue())


def _speak(
  library: ctypes.CDLL, text: str
) -> tuple[np.ndarray, list[tuple[int, str]]]:
  """Speaks one text: int16 samples; each sound's first sample and IPA."""
  blocks: list[np.ndarray] = []
  marks: list[tuple[int, str]] = []

  def collect(wave, count: int, events) -> int:
    if count > 0:
      blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
    for event in itertools.takewhile(
      lambda event: event.type != _EVENT_LIST_TERMINATED,
      (events[index] for index in itertools.count()),
    ):
      if event.type == _EVENT_PHONEME:
        marks.append((event.sample, event.id.string.decode("utf-8", "ignore")))
    return 0

  # The library keeps the pointer, so the object must outlive the synthesis.
  callback = _SynthCallback(collect)
  library.espeak_SetSynthCallback(callback)
  encoded = text.encode("utf-8")
  status = library.espeak_Synth(
    encoded,
    len(encoded) + 1,
    0,
    _POSITION_CHARACTER,
    0,
    _CHARS_UTF8,
    None,
    None,
  )
  if status != _EE_OK or not blocks:
    raise InputError(
      f"espeak-ng gave no sound for {text[:40]!r} (status {status}); "
      f"{_REINSTALL}"
    )
  return np.concatenate(blocks), marks


def _open_espeak() -> tuple[ctypes.CDLL, int]:
  """Loads and sets up the library: library, rate in Hz."""
  try:
    import espeakng_loader
  except ImportError as error:
    raise InputError(
      "the demo's speech comes from espeak-ng, which is not installed; "
      "install it: pip install 'synctalk-jax[demo]'"
    ) from error
  try:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data_path = espeakng_loader.get_data_path()
  except (OSError, RuntimeError) as error:
    raise InputError(
      f"espeak-ng does not load ({error}); {_REINSTALL}"
    ) from error
  _declare(library)
  rate = library.espeak_Initialize(
    _AUDIO_OUTPUT_SYNCHRONOUS,
    0,
    os.fsencode(data_path),
    _INITIALIZE_PHONEME_EVENTS
    | _INITIALIZE_PHONEME_IPA
    | _INITIALIZE_DONT_EXIT,
  )
  # It answers -1 also when its data's path is longer than about 150 bytes.
  if rate <= 0:
    raise InputError(
      f"espeak-ng finds no voices in {data_path} ({len(data_path)} characters, "
      "about 150 at most); install into a virtual environment with a shorter "
      "path"
    )
  if library.espeak_SetVoiceByName(VOICE.encode()) != _EE_OK:
    raise InputError(
      f"espeak-ng has no voice {VOICE!r} in {data_path}; {_REINSTALL}"
    )
  library.espeak_SetParameter(_PARAMETER_RATE, WORDS_PER_MINUTE, 0)
  return library, rate


def _declare(library: ctypes.CDLL) -> None:
  """Tells ctypes the signatures of what is called."""
  c_int, c_uint = ctypes.c_int, ctypes.c_uint
  library.espeak_Initialize.argtypes = [c_int, c_int, ctypes.c_char_p, c_int]
  library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
  library.espeak_SetParameter.argtypes = [c_int, c_int, c_int]
  library.espeak_SetSynthCallback.argtypes = [_SynthCallback]
  library.espeak_SetSynthCallback.restype = None
  library.espeak_Synth.argtypes = [
    ctypes.c_char_p,
    ctypes.c_size_t,
    c_uint,
    c_int,
    c_uint,
    c_uint,
    ctypes.POINTER(c_uint),
    ctypes.c_void_p,
  ]


def _phonemes(
  marks: list[tuple[int, str]], sample_count: int, rate: int
) -> tuple[Phoneme, ...]:
  """Turns marks (first sample, IPA) into phonemes without gaps."""
  pauses = {"", "_", "_:", "_!"}
  starts = [0] + [min(start, sample_count) for start, _ in marks]
  names = [""] + ["" if name in pauses else name for _, name in marks]
  ends = starts[1:] + [sample_count]
  return tuple(
    Phoneme(name, start / rate, end / rate)
    for name, start, end in zip(names, starts, ends, strict=True)
    if end > start
  )


if __name__ == "__main__":
  raise SystemExit(run_command(main))
