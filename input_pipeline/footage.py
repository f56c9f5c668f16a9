"""Is this footage fit to train on? Said before any GPU hour is spent.

Every check looks at what `prepare` has computed anyway, and says what was
measured, what is asked for, and what to do. Only footage without a face is
refused; all else is a warning, for people know what they filmed.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from input_pipeline.crops import CUT_JUMP

PASS, WARN, FAIL = "pass", "warn", "fail"

_MIN_FACE_SHARE = 0.1
_GOOD_FACE_SHARE = 0.95
_MAX_SEVERAL_SHARE = 0.01
_MIN_FACE_OF_CROP = 0.5
_MAX_OVERHANG = 0.15
_BLURRED_OF_TYPICAL = 0.4
_MAX_BLURRED_SHARE = 0.05
_MAX_CLIPPED_PIXELS = 0.05
_MAX_TURN = 0.25
_FULL_SCALE = 32_700
_MAX_CLIPPED_SAMPLES = 1e-4
_SILENCE_BELOW_SPEECH_DB = 30.0
_MAX_SILENCE_SHARE = 0.5
_MIN_LEVEL_DB = -35.0
_MAX_MISSING_SECONDS = 0.1
_MIN_SECONDS = 60.0

# Mesh points: the tip of the nose and the sides of the face.
_NOSE_TIP, _RIGHT_SIDE, _LEFT_SIDE = 4, 234, 454


@dataclasses.dataclass(frozen=True, eq=False)
class Footage:
  """What is known of a clip once it is prepared.

  Attributes:
    fps: frames per second of the timeline.
    crop_size: side of a crop in pixels.
    landmarks: [N, 478, 2] float32 in source pixels, NaN where not found.
    num_faces: [N] int32, faces seen in each frame.
    raw_boxes: [N, 3] float64, x0, y0 and width before smoothing, NaN where
      not found.
    boxes: [N, 3] float64, after smoothing.
    found: [N] bool.
    usable: [N] bool.
    overhang: [N] float64, share of the box's area outside the picture.
    quality: [M, 3] float64, of the cropped frames: sharpness, share of black
      and of white pixels (`prepare_tasks.measure_crop`).
    samples: [n] int16, the sound at 16 kHz, as long as the frames.
    missing_seconds: how much sooner the sound ended than the pictures.
  """

  fps: int
  crop_size: int
  landmarks: np.ndarray
  num_faces: np.ndarray
  raw_boxes: np.ndarray
  boxes: np.ndarray
  found: np.ndarray
  usable: np.ndarray
  overhang: np.ndarray
  quality: np.ndarray
  samples: np.ndarray
  missing_seconds: float


@dataclasses.dataclass(frozen=True)
class Finding:
  """The outcome of one check.

  Attributes:
    name: what was looked at.
    status: PASS, WARN or FAIL.
    measured: the figure, with its unit.
    wanted: the threshold, with its unit.
    remedy: what to do about it; empty for a pass.
  """

  name: str
  status: str
  measured: str
  wanted: str
  remedy: str


def enough_faces(found: np.ndarray) -> bool:
  """Whether there is a face in enough frames to go on at all."""
  return bool(found.mean() >= _MIN_FACE_SHARE)


def check_footage(footage: Footage) -> list[Finding]:
  """Runs all checks on one clip; `check_length` is for all of them."""
  return [check(footage) for check in _CHECKS]


def check_length(seconds: float) -> Finding:
  """Checks how much footage there is, over all clips."""
  return _finding(
    "Length",
    seconds >= _MIN_SECONDS,
    f"{seconds:.1f} s",
    f"at least {_MIN_SECONDS:.0f} s; 3 to 5 minutes are better",
    "Fine for a trial. For a good likeness film more of the same person in "
    "the same light, and pass each file with its own --video.",
  )


def level_db(samples: np.ndarray, rate: int = 16_000) -> np.ndarray:
  """The level of each 20 ms of sound.

  Args:
    samples: [n] int16.
    rate: in Hz.

  Returns:
    [n // (rate / 50)] float64, RMS in dB of full scale, at least -100.
  """
  length = rate // 50
  blocks = samples[: len(samples) // length * length].reshape(-1, length)
  rms = np.sqrt(np.mean(blocks.astype(np.float64) ** 2, axis=1))
  return 20 * np.log10(np.maximum(rms / 32_768, 1e-5))


def cut_frames(raw_boxes: np.ndarray) -> np.ndarray:
  """Frames at which the face jumps: a cut, or another person.

  Args:
    raw_boxes: [N, 3] float64, before smoothing, NaN where not found.

  Returns:
    Indices of the frames after each jump.
  """
  frames = np.flatnonzero(~np.isnan(raw_boxes[:, 0]))
  boxes = raw_boxes[frames]
  moved = np.abs(np.diff(boxes, axis=0)).max(axis=1)
  jumped = moved > CUT_JUMP * boxes[:-1, 2]
  # Where the face was away, it may have moved on its own.
  return frames[1:][jumped & (np.diff(frames) == 1)]


def head_turn(landmarks: np.ndarray) -> np.ndarray:
  """How far each head is turned: 0 is frontal, 0.5 a profile.

  Args:
    landmarks: [N, 478, 2] float32, pixels.

  Returns:
    [N] float64: the nose's distance from the middle of the face, as a share
    of its width; positive when it points right in the picture.
  """
  x = landmarks[:, :, 0].astype(np.float64)
  width = x[:, _LEFT_SIDE] - x[:, _RIGHT_SIDE]
  middle = (x[:, _LEFT_SIDE] + x[:, _RIGHT_SIDE]) / 2
  return (x[:, _NOSE_TIP] - middle) / np.maximum(width, 1.0)


def _finding(
  name: str, good: bool, measured: str, wanted: str, remedy: str
) -> Finding:
  status = PASS if good else WARN
  return Finding(name, status, measured, wanted, "" if good else remedy)


def _face(footage: Footage) -> Finding:
  share = footage.found.mean()
  finding = _finding(
    "Frames with a face",
    bool(share >= _GOOD_FACE_SHARE),
    f"{share:.1%}",
    f"at least {_GOOD_FACE_SHARE:.0%}",
    "Cut out the parts where the face is hidden, turned away or small.",
  )
  if enough_faces(footage.found):
    return finding
  return dataclasses.replace(finding, status=FAIL)


def _several(footage: Footage) -> Finding:
  share = np.mean(footage.num_faces > 1)
  return _finding(
    "Frames with several faces",
    bool(share <= _MAX_SEVERAL_SHARE),
    f"{share:.1%}",
    f"at most {_MAX_SEVERAL_SHARE:.0%}",
    "The largest face was followed. See the crops below; if they change "
    "person, crop the video to one.",
  )


def _face_size(footage: Footage) -> Finding:
  width = np.median(footage.boxes[footage.usable, 2])
  return _finding(
    "Face width",
    bool(width >= _MIN_FACE_OF_CROP * footage.crop_size),
    f"{width:.0f} px (median)",
    f"at least {_MIN_FACE_OF_CROP * footage.crop_size:.0f} px for crops of "
    f"{footage.crop_size}",
    "Film closer or at a higher resolution, or use a smaller --crop-size: "
    "small faces are enlarged and stay soft.",
  )


def _cuts(footage: Footage) -> Finding:
  count = len(cut_frames(footage.raw_boxes))
  return _finding(
    "Cuts and jumps",
    count == 0,
    f"{count}",
    "0",
    "Smoothing starts anew at each. For rendering, one uncut take is best: "
    "cut the video there and pass the parts with several --video.",
  )


def _leaving(footage: Footage) -> Finding:
  overhang = np.percentile(footage.overhang[footage.usable], 95)
  return _finding(
    "Crop outside the picture",
    bool(overhang <= _MAX_OVERHANG),
    f"{overhang:.0%} of its area (95th percentile)",
    f"at most {_MAX_OVERHANG:.0%}",
    "The edge is stretched to fill it. Leave more room below the chin and "
    "beside the head.",
  )


def _blur(footage: Footage) -> Finding:
  sharpness = footage.quality[:, 0]
  blurred = np.mean(sharpness < _BLURRED_OF_TYPICAL * np.median(sharpness))
  return _finding(
    "Blurred frames",
    bool(blurred <= _MAX_BLURRED_SHARE),
    f"{blurred:.1%}",
    f"at most {_MAX_BLURRED_SHARE:.0%} far less sharp than the rest",
    "Film with more light, a shorter exposure and a fixed focus.",
  )


def _exposure(footage: Footage) -> Finding:
  black, white = footage.quality[:, 1:].mean(axis=0)
  return _finding(
    "Black or white pixels in the crop",
    bool(max(black, white) <= _MAX_CLIPPED_PIXELS),
    f"{black:.1%} black, {white:.1%} white",
    f"at most {_MAX_CLIPPED_PIXELS:.0%} each",
    "Detail is lost there. Correct the exposure, not afterwards but when "
    "filming; a black or white background does no harm.",
  )


def _pose(footage: Footage) -> Finding:
  turn = head_turn(footage.landmarks[footage.found])
  low, high = np.percentile(turn, [2.5, 97.5])
  return _finding(
    "Head turn",
    bool(max(-low, high) <= _MAX_TURN),
    f"{low:+.2f} to {high:+.2f} (nose off the middle, by face width)",
    f"within -{_MAX_TURN} to +{_MAX_TURN}",
    "Look towards the camera: the far side of the mouth is not seen enough "
    "to be learnt.",
  )


def _sound_clipping(footage: Footage) -> Finding:
  share = np.mean(np.abs(footage.samples.astype(np.int32)) >= _FULL_SCALE)
  return _finding(
    "Overdriven sound",
    bool(share <= _MAX_CLIPPED_SAMPLES),
    f"{share:.3%} of samples at full scale",
    f"at most {_MAX_CLIPPED_SAMPLES:.2%}",
    "Record with the microphone turned down.",
  )


def _sound_level(footage: Footage) -> Finding:
  level = np.percentile(level_db(footage.samples), 90)
  return _finding(
    "Loudness of speech",
    bool(level >= _MIN_LEVEL_DB),
    f"{level:.0f} dB of full scale (90th percentile)",
    f"at least {_MIN_LEVEL_DB:.0f} dB",
    "Record closer to the microphone, or amplify the sound track.",
  )


def _silence(footage: Footage) -> Finding:
  levels = level_db(footage.samples)
  quiet = levels < np.percentile(levels, 95) - _SILENCE_BELOW_SPEECH_DB
  # Digital silence is as loud as its loudest part.
  share = np.mean(quiet | (levels <= -90))
  return _finding(
    "Silence",
    bool(share <= _MAX_SILENCE_SHARE),
    f"{share:.0%} of the time",
    f"at most {_MAX_SILENCE_SHARE:.0%}",
    "Cut long pauses: they teach little. A few short ones are needed, to "
    "learn the closed mouth.",
  )


def _sound_length(footage: Footage) -> Finding:
  return _finding(
    "Sound shorter than the picture",
    footage.missing_seconds <= _MAX_MISSING_SECONDS,
    f"{footage.missing_seconds:.2f} s",
    f"at most {_MAX_MISSING_SECONDS} s",
    "Silence was appended. Cut the video where its sound ends.",
  )


_CHECKS: tuple[Callable[[Footage], Finding], ...] = (
  _face,
  _several,
  _face_size,
  _cuts,
  _leaving,
  _blur,
  _exposure,
  _pose,
  _sound_level,
  _sound_clipping,
  _silence,
  _sound_length,
)
