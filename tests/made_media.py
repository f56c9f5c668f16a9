"""Small media files whose every picture says which one it is."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_BITS = 8


def numbered(number: int, width: int = 64, height: int = 48) -> np.ndarray:
  """Returns [height, width, 3] uint8: the number's bits as grey columns."""
  columns = np.arange(width) * _BITS // width
  bits = (number >> columns) & 1
  row = np.where(bits, 200, 50).astype(np.uint8)
  return np.ascontiguousarray(
    np.broadcast_to(row[None, :, None], (height, width, 3))
  )


def number_of(picture: np.ndarray) -> int:
  """Reads a `numbered` picture, also after lossy compression."""
  means = [
    part.mean() for part in np.array_split(picture[..., 1], _BITS, axis=1)
  ]
  return sum(int(mean > 125) << bit for bit, mean in enumerate(means))


def write_video(
  path: Path,
  pictures: Sequence[np.ndarray],
  *,
  codec: str = "libx264",
  pix_fmt: str = "yuv420p",
  fps: Fraction | int = 25,
  pts: Sequence[int] | None = None,
  time_base: Fraction | None = None,
  options: dict[str, str] | None = None,
  container_options: dict[str, str] | None = None,
  rotation: int = 0,
  b_frames: int = 0,
  sound: np.ndarray | None = None,
  sound_start: int = 0,
  rate: int = 16000,
) -> Path:
  """Encodes pictures, and [n] int16 `sound` as PCM, to a file.

  Args:
    path: its suffix picks the container.
    pictures: [H, W, 3] uint8 each.
    codec: the encoder.
    pix_fmt: its pixel format.
    fps: nominal pictures per second.
    pts: when each is shown, in `time_base`; by default evenly spaced.
    time_base: 1 / fps by default.
    options: the encoder's.
    container_options: the muxer's.
    rotation: degrees, written as metadata.
    b_frames: for encoders that take them only as a setting.
    sound: samples, or None.
    sound_start: the first sample's time, in samples.
    rate: Hz of `sound`.
  """
  height, width = pictures[0].shape[:2]
  base = time_base or 1 / Fraction(fps)
  with av.open(str(path), "w", options=container_options or {}) as container:
    stream = container.add_stream(codec, rate=fps, options=options or {})
    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    stream.codec_context.time_base = base
    if b_frames:
      stream.codec_context.max_b_frames = b_frames
      stream.codec_context.gop_size = 8
    if rotation:
      stream.set_display_rotation(rotation)
    if sound is not None:
      track = container.add_stream("pcm_s16le", rate=rate, layout="mono")
      frame = av.AudioFrame.from_ndarray(sound[None], "s16", "mono")
      frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
      frame.pts = sound_start
      packets = track.encode(frame) + track.encode(None)
      container.mux(packets)
    for i, picture in enumerate(pictures):
      frame = av.VideoFrame.from_ndarray(picture, "rgb24")
      frame.pts = i if pts is None else pts[i]
      frame.time_base = base
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path


def write_sound(
  path: Path,
  samples: np.ndarray,
  *,
  codec: str = "pcm_s16le",
  rate: int = 16000,
  layout: str = "mono",
) -> Path:
  """Encodes [n] or [n, channels] samples (int16, or float32 for PCM)."""
  sample_format = "s16" if samples.dtype == np.int16 else "flt"
  packed = np.ascontiguousarray(samples).reshape(1, -1)
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=rate, layout=layout)
    if packed.size:
      frame = av.AudioFrame.from_ndarray(packed, sample_format, layout)
      frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
      frame.pts = 0
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path


def chirp(seconds: float, rate: int = 16000) -> np.ndarray:
  """Returns [n] int16 whose shape fixes its place in time."""
  time = np.arange(int(seconds * rate)) / rate
  phase = 2 * np.pi * (200 * time + 400 * time**2)
  return (8000 * np.sin(phase)).astype(np.int16)


def lag(reference: np.ndarray, other: np.ndarray) -> int:
  """Returns how many samples later `other` is, by correlation."""
  a, b = reference.astype(np.float64), other.astype(np.float64)
  size = len(a) + len(b)
  spectrum = np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size)
  shift = int(np.argmax(np.fft.irfft(spectrum, size)))
  return shift - size if shift > size // 2 else shift


def top_level_boxes(path: Path) -> list[bytes]:
  """Returns the names of an mp4's outermost boxes, in order."""
  file, names = io.BytesIO(path.read_bytes()), []
  while header := file.read(8):
    names.append(header[4:])
    file.seek(int.from_bytes(header[:4], "big") - 8, io.SEEK_CUR)
  return names
