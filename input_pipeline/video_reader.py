"""Decoding the pictures of a video by their numbers."""

import itertools
from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from input_pipeline.errors import InputError
from input_pipeline.media_file import best_stream, decodable_frames, open_media
from input_pipeline.video_index import VideoIndex

# Without these swscale truncates and darkens each conversion by 1 to 1.5
# grey levels.
EXACT = (
  Interpolation.BICUBIC
  | Interpolation.ACCURATE_RND
  | Interpolation.FULL_CHR_H_INT
  | Interpolation.FULL_CHR_H_INP
)

# Pictures asked for in descending order are decoded forward, this many at a
# time, or as many as fit into the memory limit.
_BLOCK_FRAMES = 32
_BLOCK_BYTES = 256 << 20

# Decoding on is cheaper than seeking for gaps up to this many pictures.
_SKIP_FRAMES = 64

# A container's seek can land after the picture it was asked for; asking for
# one this much earlier helps, short of decoding from the start.
_SEEK_MARGIN = 100


class FrameReader:
  """Decodes pictures of one video, in any order, as upright RGB.

  Use it in a `with`. Memory stays bounded whatever is asked for.
  """

  def __init__(self, index: VideoIndex):
    """Opens the video.

    Args:
      index: from `index_video`.
    """
    self._index = index
    self._numbers = {pts: i for i, pts in enumerate(index.pts.tolist())}
    self._seekable = index.seekable
    self._latest: tuple[int, np.ndarray] | None = None
    self._container = None
    self._restart()

  def __enter__(self) -> "FrameReader":
    return self

  def __exit__(self, *exception) -> None:
    self.close()

  def close(self) -> None:
    """Closes the file."""
    self._container.close()

  def read(self, source_frame_numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """Decodes pictures in the order asked for.

    A rising series is decoded in one pass; a falling one in blocks of up to
    32, each decoded forward from the keyframe before it. A number that comes
    again at once is not decoded again.

    Args:
      source_frame_numbers: picture numbers, each in [0, N).

    Yields:
      [H, W, 3] uint8 RGB, C-contiguous, upright; the caller's to keep.

    Raises:
      InputError: the file is damaged at one of the pictures.
    """
    numbers = [int(number) for number in source_frame_numbers]
    count = len(self._index.pts)
    for number in numbers:
      if not 0 <= number < count:
        raise IndexError(f"picture {number} of a video with {count}")
    picture_bytes = 3 * self._index.width * self._index.height
    limit = min(_BLOCK_FRAMES, max(_BLOCK_BYTES // picture_bytes, 1))
    for block in _falling_blocks(numbers, limit):
      pictures = {n: self._picture(n) for n in sorted(set(block))}
      for number in block:
        yield pictures[number].copy()
      # Before the next block is decoded, so that one is held at a time.
      pictures.clear()

  def _picture(self, number: int) -> np.ndarray:
    if self._latest is None or self._latest[0] != number:
      self._latest = (number, self._decode(number))
    return self._latest[1]

  def _decode(self, number: int) -> np.ndarray:
    ahead = number - self._position
    if ahead <= 0 or (ahead > _SKIP_FRAMES and self._keyframe_ahead(number)):
      self._seek(number)
    picture = self._decode_on(number)
    if picture is None:
      # From here on the file's seek is not trusted again.
      self._seekable = False
      self._restart()
      picture = self._decode_on(number)
    if picture is None:
      time = self._index.pts[number] * self._index.time_base
      seconds = float(time - self._index.start_time)
      raise InputError(
        f"{self._index.path}: picture {number} (at {seconds:.2f} s) cannot be "
        "decoded, the file is damaged there; cut that part out or export the "
        "video again"
      )
    return picture

  def _keyframe_ahead(self, number: int) -> bool:
    """Whether seeking to a picture ahead would save decoding."""
    between = slice(self._position + _SKIP_FRAMES, number + 1)
    return self._seekable and bool(self._index.keyframes[between].any())

  def _seek(self, number: int) -> None:
    """Places the decoder at or before a picture."""
    if self._seekable:
      for margin in (0, _SEEK_MARGIN):
        target = int(self._index.pts[max(number - margin, 0)])
        try:
          self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
          break
        frames = self._decoded()
        first = next(frames, None)
        if first is not None and first[0] <= number:
          self._frames = itertools.chain([first], frames)
          self._position = first[0] - 1
          return
    self._restart()

  def _restart(self) -> None:
    """Opens the file again, so that decoding starts at its first picture."""
    if self._container is not None:
      self._container.close()
    self._container = open_media(self._index.path)
    self._stream = best_stream(self._container, "video")
    self._stream.thread_type = "AUTO"
    self._frames = self._decoded()
    self._position = -1

  def _decode_on(self, number: int) -> np.ndarray | None:
    """Decodes forward to a picture; None when it does not come."""
    for position, frame in self._frames:
      self._position = position
      if position == number:
        return self._upright_rgb(frame)
      if position > number:
        break
    return None

  def _decoded(self) -> Iterator[tuple[int, VideoFrame]]:
    """Decodes from the current place on, with each picture's number."""
    counted = itertools.count()
    for frame in decodable_frames(self._container, self._stream):
      if not self._index.seekable:
        yield next(counted), frame
      elif frame.pts in self._numbers:
        yield self._numbers[frame.pts], frame

  def _upright_rgb(self, frame: VideoFrame) -> np.ndarray:
    index = self._index
    size = (index.width, index.height)
    sideways = index.rotation in (90, 270)
    picture = frame.to_ndarray(
      format="rgb24",
      width=size[sideways],
      height=size[not sideways],
      src_colorspace=index.matrix,
      interpolation=EXACT,
    )
    return np.ascontiguousarray(np.rot90(picture, index.rotation // 90))


def _falling_blocks(numbers: list[int], limit: int) -> Iterator[list[int]]:
  """Splits into runs that never rise, of at most `limit` pictures."""
  block: list[int] = []
  distinct = 0
  for number in numbers:
    new = not block or number != block[-1]
    if block and (number > block[-1] or (new and distinct == limit)):
      yield block
      block, distinct = [], 0
    block.append(number)
    distinct += new
  if block:
    yield block
