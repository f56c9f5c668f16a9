"""The audio encoders' input streams and the facts that describe them.

A *stream* is what an encoder reads, computed once for a whole recording: for
AVE the mel spectrogram. A *spec* says how it was made and how windows are
taken from it; it is written into the data's manifest and into every
checkpoint, and two that differ are refused.
"""

from typing import Any

import numpy as np

from synctalk_jax.audio import mel

ENCODERS = ("ave",)

# Version of what the functions here compute: raise it when numbers change.
_SPEC_VERSION = 1


def audio_spec(encoder: str, fps: int) -> dict[str, Any]:
  """Describes an encoder's stream and windows, in JSON types.

  Args:
    encoder: one of `ENCODERS`.
    fps: video frames per second that windows are aligned to.

  Returns:
    encoder, spec_version, fps; sample_rate in Hz; stream_rate in rows of the
    stream per second; stream_dim, its width; row_length and row_offset: the
    encoder turns `row_length` stream rows, starting `row_offset` rows after
    (before, if negative) the start of a video frame, into that frame's
    feature row; past and future: a frame's window is the feature rows
    `[frame - past, frame + future)`; padding: what stands beyond the ends;
    loudness: the level policy.

  Raises:
    ValueError: the encoder is unknown.
  """
  if encoder not in ENCODERS:
    raise ValueError(
      f"unknown audio encoder {encoder!r}; choose one of: {', '.join(ENCODERS)}"
    )
  return {
    "encoder": encoder,
    "spec_version": _SPEC_VERSION,
    "fps": fps,
    "sample_rate": mel.SAMPLE_RATE,
    "stream_rate": mel.FRAME_RATE,
    "stream_dim": mel.NUM_BINS,
    "row_length": 16,
    # 16 mel frames are centred on the middle of their video frame:
    # 12.5 ms (m + 7.5) = 40 ms j + 20 ms gives m = 3.2 j - 5.9.
    "row_offset": -6,
    "past": 8,
    "future": 8,
    "padding": "edge",
    "loudness": "none",
  }


def extract(samples: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
  """Computes the stream of a whole recording.

  Args:
    samples: [N] int16, mono, at `spec["sample_rate"]` Hz.
    spec: from `audio_spec`.

  Returns:
    [R, stream_dim] float32, `stream_rate` rows per second; row r is centred
    on second `r / stream_rate`.
  """
  if samples.dtype != np.int16 or samples.ndim != 1:
    raise ValueError(
      f"audio is {samples.dtype} {samples.shape}; expected int16 [N]"
    )
  if spec != audio_spec(spec["encoder"], spec["fps"]):
    raise ValueError(
      f"this version cannot compute the audio features {spec}; prepare the "
      "data again"
    )
  return mel.mel_spectrogram(samples)
