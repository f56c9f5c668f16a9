"""Decoding the sound of any media file, placed on the file's own clock."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from input_pipeline.errors import InputError
from input_pipeline.media_file import (
  MAX_HOURS,
  best_stream,
  container_start,
  decodable_frames,
  open_media,
)

# A hole between two packets longer than this is kept as silence; anything
# shorter is the rounding of the container's timestamps.
_GAP_SECONDS = Fraction(1, 20)


def read_audio(path: str | Path, rate: int = 16000) -> np.ndarray:
  """Reads a file's sound as one channel.

  Time 0 is the start of the file, as in `source_frames`: sound that starts
  late is preceded by zeros, and what lies before time 0 is cut off.

  Args:
    path: an audio or video file.
    rate: Hz of the result.

  Returns:
    [n] int16 samples.

  Raises:
    InputError: it is missing, not media, has no audio track or no sound in
      it, holds samples that are no numbers, or lasts too long.
  """
  path = Path(path)
  with open_media(path) as container:
    stream = audio_stream(path, container)
    blocks = list(audio_blocks(path, container, stream, rate, "mono"))
  samples = np.concatenate(blocks)[:, 0] if blocks else np.empty(0, np.int16)
  if samples.size == 0:
    raise InputError(f"{path}: its audio track is empty; give another file")
  return samples


def audio_stream(path: Path, container: InputContainer) -> AudioStream:
  """Returns the audio track to play.

  Args:
    path: the file, for the message.
    container: the same file, open.

  Returns:
    the track.

  Raises:
    InputError: there is none, or its codec is unknown.
  """
  stream = best_stream(container, "audio")
  if stream is None:
    raise InputError(f"{path}: has no audio track; give a file with sound")
  return stream


def audio_blocks(
  path: Path,
  container: InputContainer,
  stream: AudioStream,
  rate: int,
  layout: str,
) -> Iterator[np.ndarray]:
  """Decodes a track piece by piece, from time 0 of the file on.

  Args:
    path: the file, for messages.
    container: the same file, open, at its start.
    stream: its audio track.
    rate: Hz of the result.
    layout: channels of the result, such as `mono`.

  Yields:
    [n, channels] int16, without gaps or overlaps between the pieces.

  Raises:
    InputError: samples that are no numbers, or a track that is too long.
  """
  start = container_start(container)
  limit = MAX_HOURS * 3600 * rate
  written = 0
  for time, samples in _segments(path, container, stream, rate, layout):
    place = written if time is None else round((time - start) * rate)
    if place > limit or written > limit:
      raise InputError(
        f"{path}: its sound lasts more than {MAX_HOURS} hours; cut it first"
      )
    if place > written:
      yield np.zeros((place - written, samples.shape[1]), np.int16)
      written = place
    samples = samples[written - place :]
    if len(samples):
      yield samples
      written += len(samples)


def _segments(
  path: Path,
  container: InputContainer,
  stream: AudioStream,
  rate: int,
  layout: str,
) -> Iterator[tuple[Fraction | None, np.ndarray]]:
  """Decodes and resamples; a time is given where a new segment starts.

  Yields:
    (seconds on the container's clock or None for "goes on", [n, channels]
    int16 samples).
  """
  resampler, expected = None, None
  for frame in decodable_frames(container, stream):
    _check_finite(path, frame)
    time = None if frame.pts is None else frame.pts * frame.time_base
    if expected is None and time is None:
      time = Fraction(0)
    jumped = time is not None and (
      expected is None or abs(time - expected) > _GAP_SECONDS
    )
    if jumped:
      yield from ((None, s) for s in _resampled(resampler, None))
      # Samples stay int16: swresample's float path does not normalise a
      # downmix and comes out 1.414 times as loud.
      resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
      expected = time
    expected += Fraction(frame.samples, frame.sample_rate)
    for samples in _resampled(resampler, frame):
      yield (time if jumped else None), samples
      jumped = False
  yield from ((None, s) for s in _resampled(resampler, None))


def _resampled(
  resampler: av.AudioResampler | None, frame: AudioFrame | None
) -> Iterator[np.ndarray]:
  if resampler is None:
    return
  for part in resampler.resample(frame):
    yield part.to_ndarray().reshape(-1, part.layout.nb_channels)


def _check_finite(path: Path, frame: AudioFrame) -> None:
  if frame.format.name.rstrip("p") not in ("flt", "dbl"):
    return
  if not np.isfinite(frame.to_ndarray()).all():
    raise InputError(
      f"{path}: its sound holds samples that are not numbers (NaN or "
      "infinite); export it again as 16-bit wav"
    )
