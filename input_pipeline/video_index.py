"""Which pictures a video file holds and when each one is shown."""

import dataclasses
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from input_pipeline.errors import InputError
from input_pipeline.media_file import (
  MAX_HOURS,
  best_stream,
  container_start,
  open_media,
)

MAX_SIDE = 8192
MAX_FRAMES = MAX_HOURS * 3600 * 120

# Containers whose header says how long the file is; for others FFmpeg guesses.
_DECLARES_DURATION = {"matroska", "webm", "avi", "flv"}

_BT709, _BT601 = 1, 6

# AVColorSpace, as a stream carries it, to the matrix that swscale applies.
_MATRICES = {
  _BT709: Colorspace.ITU709,
  4: Colorspace.FCC,
  5: Colorspace.ITU601,
  _BT601: Colorspace.ITU601,
  7: Colorspace.SMPTE240M,
  9: Colorspace.BT2020,
  10: Colorspace.BT2020,
}


@dataclasses.dataclass(frozen=True, eq=False)
class VideoIndex:
  """What a video file holds, found without decoding it.

  A picture's number is its position in order of display.

  Attributes:
    path: the file.
    pts: [N] int64, strictly increasing: when each picture is shown, in units
      of `time_base`.
    keyframes: [N] bool, where decoding can start, as the file tells.
    time_base: seconds in one unit of `pts`.
    start_time: seconds, time 0 of the file on the clock of `pts`: the first
      sound or picture.
    duration: seconds from `start_time` to the end of the last picture.
    seekable: False when timestamps do not name pictures (raw streams, H.264
      in AVI), so that pictures must be counted from the start of the file.
    width: pixels, after rotation.
    height: pixels, after rotation.
    rotation: degrees counter-clockwise that make the picture upright, one of
      0, 90, 180, 270.
    pixel_aspect: width of a pixel over its height, after rotation.
    codec: name, such as `h264`.
    pix_fmt: name, such as `yuv420p10le`.
    colorspace: AVColorSpace number of the YUV matrix; when the file does not
      tell, the one that players assume for its size.
    color_primaries: AVColorPrimaries number, 2 when the file does not tell.
    color_trc: AVColorTransferCharacteristic number, likewise.
    color_range: AVColorRange number, 0 when the file does not tell.
    average_rate: pictures per second over the whole file; a label only, never
      a means to find a picture.
    has_audio: whether there is an audio track.
  """

  path: Path
  pts: np.ndarray
  keyframes: np.ndarray
  time_base: Fraction
  start_time: Fraction
  duration: Fraction
  seekable: bool
  width: int
  height: int
  rotation: int
  pixel_aspect: Fraction
  codec: str
  pix_fmt: str
  colorspace: int
  color_primaries: int
  color_trc: int
  color_range: int
  average_rate: Fraction
  has_audio: bool

  @property
  def matrix(self) -> Colorspace:
    """The matrix in swscale's numbering."""
    return _MATRICES[self.colorspace]


@dataclasses.dataclass(frozen=True)
class _Timeline:
  """The packets of one video stream, in order of display."""

  pts: np.ndarray
  keyframes: np.ndarray
  end: int
  seekable: bool


def index_video(path: str | Path) -> VideoIndex:
  """Reads a video file's packet headers and its first picture.

  Args:
    path: a local video file.

  Returns:
    its index.

  Raises:
    InputError: it is missing, not a video, cut off, holds fewer than two
      pictures, or is larger or longer than any recording of a person.
  """
  path = Path(path)
  with open_media(path) as container:
    stream = best_stream(container, "video")
    if stream is None:
      raise InputError(f"{path}: has no video track; give a video file")
    _check_size(path, stream)
    timeline = _timeline(path, container, stream)
    picture = _first_picture(path, stream)
    rotation = round(picture.rotation / 90) * 90 % 360
    sideways = rotation in (90, 270)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    context = stream.codec_context
    start = container_start(container)
    duration = timeline.end * stream.time_base - start
    if duration > MAX_HOURS * 3600:
      raise InputError(
        f"{path}: lasts {float(duration) / 3600:.1f} hours by its timestamps; "
        f"at most {MAX_HOURS} are accepted, so cut it or repair its timestamps"
      )
    size = (context.width, context.height)
    return VideoIndex(
      path=path,
      pts=timeline.pts,
      keyframes=timeline.keyframes,
      time_base=stream.time_base,
      start_time=start,
      duration=duration,
      seekable=timeline.seekable,
      width=size[sideways],
      height=size[not sideways],
      rotation=rotation,
      pixel_aspect=1 / aspect if sideways else aspect,
      codec=context.codec.canonical_name,
      pix_fmt=picture.format.name,
      colorspace=_colorspace(context),
      color_primaries=int(context.color_primaries),
      color_trc=int(context.color_trc),
      color_range=int(context.color_range),
      average_rate=_rate(stream, len(timeline.pts), duration),
      has_audio=best_stream(container, "audio") is not None,
    )


def source_frames(index: VideoIndex, fps: int) -> np.ndarray:
  """Finds the picture to show in each frame of a constant rate.

  A picture shown at time t is current from output frame floor(t * fps + 1/2)
  on, until the next one is. The first picture also fills the time before it;
  the last one lasts for its own duration. Time 0 is the start of the file, so
  that frame k belongs to the sound at k / fps seconds. All of it is computed
  in integers.

  Args:
    index: the video.
    fps: output frames per second.

  Returns:
    [M] int32, non-decreasing picture numbers; M >= 1.
  """
  # floor(t * fps + 1/2) with t = pts * time_base - start_time, brought to
  # one denominator.
  base, start = index.time_base, index.start_time
  scale = 2 * fps * base.numerator * start.denominator
  offset = 2 * fps * start.numerator * base.denominator
  half = base.denominator * start.denominator
  first_frames = [
    (pts * scale - offset + half) // (2 * half) for pts in index.pts.tolist()
  ]
  count = int(index.duration * fps + Fraction(1, 2))
  outputs = np.arange(max(count, 1))
  numbers = np.searchsorted(first_frames, outputs, side="right") - 1
  return np.maximum(numbers, 0).astype(np.int32)


def _check_size(path: Path, stream: VideoStream) -> None:
  width, height = stream.codec_context.width, stream.codec_context.height
  if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
    raise InputError(
      f"{path}: its pictures are {width}x{height} pixels; expected 1 to "
      f"{MAX_SIDE} on each side, so scale the video first"
    )


def _colorspace(context: VideoCodecContext) -> int:
  if int(context.colorspace) in _MATRICES:
    return int(context.colorspace)
  high_definition = max(context.width, context.height) >= 1280
  return _BT709 if high_definition else _BT601


def _timeline(
  path: Path, container: InputContainer, stream: VideoStream
) -> _Timeline:
  """Lists the packets, and makes sure that the file is whole."""
  packets, latest_end = [], Fraction(0)
  try:
    for packet in container.demux():
      if packet.size == 0:  # the end-of-stream marker
        continue
      if packet.pts is not None:
        end = (packet.pts + (packet.duration or 0)) * packet.time_base
        latest_end = max(latest_end, end)
      if packet.stream_index != stream.index:
        continue
      # An edit list hides pictures that others are predicted from.
      if not packet.is_discard:
        packets.append((packet.pts, packet.duration or 0, packet.is_keyframe))
      if len(packets) > MAX_FRAMES:
        raise InputError(
          f"{path}: more than {MAX_FRAMES} pictures; cut the video into parts"
        )
  except av.FFmpegError as error:
    raise _cut_off(
      path, f"reading stops after {len(packets)} pictures"
    ) from error
  _check_whole(path, container, latest_end)
  if len(packets) < 2:
    raise InputError(
      f"{path}: holds {len(packets)} picture(s); a video needs at least 2"
    )
  seekable = all(pts is not None for pts, _, _ in packets) and not (
    container.format.name == "avi" and stream.codec_context.has_b_frames
  )
  if not seekable:
    packets = _evenly_spaced(packets, stream)
  pts, first = np.unique([pts for pts, _, _ in packets], return_index=True)
  last_duration = packets[first[-1]][1] or _usual_step(pts)
  return _Timeline(
    pts=pts.astype(np.int64),
    keyframes=np.array([packets[i][2] for i in first], bool),
    end=int(pts[-1]) + last_duration,
    seekable=seekable,
  )


def _check_whole(
  path: Path, container: InputContainer, latest_end: Fraction
) -> None:
  """Compares what the header promises with what was there to read."""
  # An mp4 lists where each packet lies in the file; counting pictures would
  # not do, since an edit list may hide some.
  size = path.stat().st_size
  ends = [
    entry.pos + entry.size
    for each in container.streams
    for entry in each.index_entries
  ]
  there = sum(end <= size for end in ends)
  if there < len(ends):
    raise _cut_off(path, f"{there} of {len(ends)} packets are there")
  if not _DECLARES_DURATION & set(container.format.name.split(",")):
    return
  expected = Fraction(container.duration or 0, av.time_base)
  if latest_end + 1 < expected:
    raise _cut_off(
      path,
      f"{float(latest_end):.1f} of {float(expected):.1f} seconds are there",
    )


def _cut_off(path: Path, found: str) -> InputError:
  return InputError(
    f"{path}: the file is cut off or damaged ({found}); copy it again or "
    "export it again"
  )


def _evenly_spaced(
  packets: Sequence[tuple[int | None, int, bool]], stream: VideoStream
) -> list[tuple[int, int, bool]]:
  """Gives timestamps by the nominal rate to a stream without good ones."""
  rate = stream.average_rate or Fraction(25)
  step = max(round(1 / (rate * stream.time_base)), 1)
  first = stream.start_time or 0
  return [
    (first + i * step, step, keyframe)
    for i, (_, _, keyframe) in enumerate(packets)
  ]


def _usual_step(pts: np.ndarray) -> int:
  return int(statistics.median_low(np.diff(pts).tolist()))


def _rate(stream: VideoStream, count: int, duration: Fraction) -> Fraction:
  return stream.average_rate or Fraction(count) / duration


def _first_picture(path: Path, stream: VideoStream) -> VideoFrame:
  """Decodes one picture: rotation and pixel format are known only then."""
  with open_media(path) as container:
    try:
      return next(container.decode(container.streams[stream.index]))
    except (av.FFmpegError, StopIteration) as error:
      codec = stream.codec_context.codec.canonical_name
      raise InputError(
        f"{path}: no picture of its {codec} video can be decoded; export it "
        "again as H.264"
      ) from error
