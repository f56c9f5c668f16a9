"""Opening a media file that came from outside, and its time zero."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.frame import Frame
from av.packet import Packet
from av.stream import Disposition, Stream

from input_pipeline.errors import InputError

# Longer recordings are refused: their timestamps are far more often broken
# than real, and everything downstream sizes arrays by them.
MAX_HOURS = 6

# Demuxers a recording can need. Playlists (HLS, DASH, concat) are left out,
# because they name other files and addresses to open.
_FORMATS = (
  "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,gif,h264,hevc,m4v,matroska,"
  "mov,mp3,mp4,mpeg,mpegts,mpegvideo,mxf,ogg,w64,wav,webm,wv"
)


def open_media(path: Path) -> InputContainer:
  """Opens a local media file for reading.

  Args:
    path: a file; never treated as an address or a device.

  Returns:
    the open container; close it, or use it in a `with`.

  Raises:
    InputError: there is no such file, or it is not audio or video.
  """
  if not path.exists():
    raise InputError(f"{path}: no such file; give a video or audio file")
  if not path.is_file():
    raise InputError(f"{path}: not a file; give a video or audio file")
  if path.stat().st_size == 0:
    raise InputError(f"{path}: the file is empty; copy or record it again")
  options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
  try:
    return av.open(f"file:{path}", options=options)
  except (av.FFmpegError, UnicodeError) as error:
    if isinstance(error, PermissionError):
      raise
    raise InputError(
      f"{path}: not a video or audio file that can be read, or one whose "
      "recording was cut off; give an mp4, mov, mkv, webm, wav, mp3, m4a or "
      "flac file"
    ) from error


def best_stream(container: InputContainer, kind: str) -> Stream | None:
  """Returns the stream a player would show or play.

  Args:
    container: an open file.
    kind: `video` or `audio`.

  Returns:
    the stream, or None; cover art does not count as video, and a track of an
    unknown codec does not count at all.
  """
  stream = container.streams.best(kind)
  if stream is None or stream.codec_context is None:
    return None
  return None if stream.disposition & Disposition.attached_pic else stream


def container_start(container: InputContainer) -> Fraction:
  """Returns the time of the earliest sound or picture, in seconds.

  It is time 0 of everything in this package. It is taken from the streams,
  since the container's own field is rounded to microseconds, which can move
  a picture across the boundary between two output frames.
  """
  starts = [
    stream.start_time * stream.time_base
    for stream in (*container.streams.video, *container.streams.audio)
    if stream.start_time is not None
    and not stream.disposition & Disposition.attached_pic
  ]
  return min(starts, default=Fraction(0))


def readable_packets(
  container: InputContainer, stream: Stream
) -> Iterator[Packet]:
  """Yields a stream's packets up to its end, or to where reading fails."""
  packets = container.demux(stream)
  while True:
    try:
      packet = next(packets)
    except (StopIteration, av.FFmpegError):
      return
    yield packet


def decodable_frames(
  container: InputContainer, stream: Stream
) -> Iterator[Frame]:
  """Decodes past damaged packets; what they held is missing by its time."""
  for packet in readable_packets(container, stream):
    try:
      yield from packet.decode()
    except av.FFmpegError:
      continue
