"""Encoding pictures and sound into an mp4 file."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.reformatter import Colorspace

from input_pipeline.audio_track import audio_blocks, audio_stream
from input_pipeline.errors import InputError
from input_pipeline.media_file import (
  container_start,
  open_media,
  readable_packets,
)
from input_pipeline.video_index import VideoIndex
from input_pipeline.video_reader import EXACT

# Codecs whose packets an mp4 holds as they are.
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_AAC_LAYOUTS = frozenset({"mono", "stereo", "5.1"})
_AAC_BIT_RATE = 192_000
_AAC_RATES = frozenset(
  {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000}
)

_BT709 = 1
_LIMITED_RANGE = 1

AudioSource = Path | tuple[np.ndarray, int]


class VideoWriter:
  """Writes an H.264 mp4, complete or not at all.

  Use it in a `with`. The file appears under its name when the block ends
  without an exception; until then it has a temporary name beside it.
  """

  def __init__(
    self,
    path: str | Path,
    width: int,
    height: int,
    fps: Fraction | int,
    *,
    crf: int = 18,
    preset: str = "veryfast",
    audio: AudioSource | None = None,
    source: VideoIndex | None = None,
  ):
    """Opens the output.

    Args:
      path: the mp4 file to write.
      width: pixels of the pictures to come.
      height: pixels of the pictures to come. H.264 in 4:2:0 needs even
        sides: an odd one is extended by repeating its last row or column.
      fps: pictures per second, exact.
      crf: x264's quality, 0 (lossless) to 51.
      preset: x264's speed, `ultrafast` to `veryslow`.
      audio: a file, whose sound is copied as it is where mp4 can hold it and
        encoded to AAC otherwise, its time 0 at the first picture; or [n] int16
        samples and their rate in Hz. All of it is written, also beyond the
        last picture.
      source: the video the pictures came from, whose colour tags and pixel
        shape the output takes over; without it BT.709 and square pixels.

    Raises:
      InputError: the folder is not there, or `audio` has no sound.
    """
    self._path = Path(path)
    if not self._path.parent.is_dir():
      raise InputError(
        f"{self._path}: the folder {self._path.parent} does not exist; create "
        "it first"
      )
    self._temporary = self._path.with_name(
      f".{self._path.name}.tmp-{os.getpid()}.mp4"
    )
    self._size = (width, height)
    self._fps = Fraction(fps)
    self._count = 0
    self._container = av.open(
      f"file:{self._temporary}", "w", options={"movflags": "+faststart"}
    )
    self._open_inputs = contextlib.ExitStack()
    try:
      self._stream, self._matrix = _video_stream(
        self._container, self._size, self._fps, crf, preset, source
      )
      self._audio = self._audio_packets(audio)
    except BaseException:
      self._discard()
      raise

  def __enter__(self) -> "VideoWriter":
    return self

  def __exit__(self, kind, *exception) -> None:
    if kind is not None:
      self._discard()
      return
    try:
      self._finish()
    except BaseException:
      self._discard()
      raise

  def write(self, rgb: np.ndarray) -> None:
    """Appends one picture.

    Args:
      rgb: [height, width, 3] uint8.
    """
    width, height = self._size
    if rgb.shape != (height, width, 3) or rgb.dtype != np.uint8:
      raise ValueError(
        f"picture of {rgb.shape} {rgb.dtype} for a video of "
        f"{(height, width, 3)} uint8"
      )
    if width % 2 or height % 2:
      rgb = cv2.copyMakeBorder(
        rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE
      )
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    frame = frame.reformat(
      format="yuv420p", dst_colorspace=self._matrix, interpolation=EXACT
    )
    frame.pts = self._count
    frame.time_base = 1 / self._fps
    self._container.mux(self._stream.encode(frame))
    self._count += 1
    self._write_audio(self._count / self._fps)

  def _audio_packets(self, audio: AudioSource | None) -> Iterator[Packet]:
    """Adds the audio stream and returns its packets, in order."""
    if audio is None:
      return iter(())
    if isinstance(audio, tuple):
      samples, rate = audio
      return _encoded(self._container, [samples[:, None]], rate, "mono")
    path = Path(audio)
    source = self._open_inputs.enter_context(open_media(path))
    stream = audio_stream(path, source)
    context = stream.codec_context
    codec = context.codec.canonical_name
    # Raw AAC (ADTS) has no header of the kind that mp4 holds.
    bare_aac = codec == "aac" and not context.extradata
    if codec in _MP4_AUDIO and not bare_aac:
      return _copied(self._container, source, stream)
    rate = context.sample_rate
    layout = context.layout.name
    if layout not in _AAC_LAYOUTS:
      layout = "stereo"
    blocks = audio_blocks(path, source, stream, rate, layout)
    return _encoded(self._container, blocks, rate, layout)

  def _write_audio(self, until: Fraction | None) -> None:
    """Writes sound up to a time in seconds, or all that is left."""
    for packet in self._audio:
      self._container.mux(packet)
      if until is not None and packet.dts * packet.time_base >= until:
        return

  def _finish(self) -> None:
    if self._count == 0:
      raise InputError(f"{self._path}: there is no picture to write")
    self._container.mux(self._stream.encode(None))
    self._write_audio(None)
    self._container.close()
    self._open_inputs.close()
    os.replace(self._temporary, self._path)

  def _discard(self) -> None:
    try:
      self._container.close()
    finally:  # closing fails too when the disk is full
      self._open_inputs.close()
      self._temporary.unlink(missing_ok=True)


def _video_stream(
  container: OutputContainer,
  size: tuple[int, int],
  fps: Fraction,
  crf: int,
  preset: str,
  source: VideoIndex | None,
):
  """Adds the H.264 stream; returns it and the matrix to convert with."""
  width, height = size
  stream = container.add_stream(
    "libx264", rate=fps, options={"crf": str(crf), "preset": preset}
  )
  stream.width, stream.height = width + width % 2, height + height % 2
  stream.pix_fmt = "yuv420p"
  context = stream.codec_context
  context.thread_type = "AUTO"
  context.time_base = 1 / fps
  context.color_range = _LIMITED_RANGE
  if source is None:
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    return stream, Colorspace.ITU709
  context.sample_aspect_ratio = source.pixel_aspect
  context.colorspace = source.colorspace
  context.color_primaries = source.color_primaries
  context.color_trc = source.color_trc
  return stream, source.matrix


def _copied(
  container: OutputContainer, source: InputContainer, stream: AudioStream
) -> Iterator[Packet]:
  """Adds a track of the same codec; returns packets moved to time 0."""
  output = container.add_stream_from_template(stream)
  shift = round(container_start(source) / stream.time_base)

  def packets():
    for packet in readable_packets(source, stream):
      if packet.dts is None:  # the end-of-stream marker
        continue
      packet.pts -= shift
      packet.dts -= shift
      packet.stream = output
      yield packet

  return packets()


def _encoded(
  container: OutputContainer,
  blocks: Iterable[np.ndarray],
  rate: int,
  layout: str,
) -> Iterator[Packet]:
  """Adds an AAC track; returns the packets of [n, channels] int16 blocks."""
  output = container.add_stream(
    "aac", rate=rate if rate in _AAC_RATES else 48000, layout=layout
  )
  output.bit_rate = _AAC_BIT_RATE

  def packets():
    written = 0
    for block in blocks:
      for piece in np.split(block, range(rate, len(block), rate)):
        frame = AudioFrame.from_ndarray(
          np.ascontiguousarray(piece).reshape(1, -1), "s16", layout
        )
        frame.sample_rate = rate
        frame.time_base, frame.pts = Fraction(1, rate), written
        written += len(piece)
        yield from output.encode(frame)
    # Without this the sound would end up to one AAC block early.
    yield from output.encode(None)

  return packets()
