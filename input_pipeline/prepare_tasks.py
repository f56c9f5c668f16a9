"""The pieces of `prepare` that worker processes do.

Each takes all it needs and leaves one finished file, so pieces may be done in
any order, by any number of processes, in one run or several.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from input_pipeline import schema
from input_pipeline.atomic_file import replacing
from input_pipeline.crops import crop_face, to_crop
from input_pipeline.landmarks import open_landmarker, track_faces
from input_pipeline.shards import write_shard
from input_pipeline.video import FrameReader, VideoIndex
from synctalk_jax.audio.windows import frame_window

# Levels this close to black or white count as clipped.
_BLACK_LEVEL = 3
_WHITE_LEVEL = 252


@dataclasses.dataclass(frozen=True, eq=False)
class TrackTask:
  """Landmarks of a run of frames, detected afresh at its start.

  Attributes:
    index: the video.
    pictures: [n] int32, numbers of the pictures to look at.
    landmarker: kind of landmarker.
    model: its model file.
    out: the `.npz` to write.
    scratch: folder for what is half written.
  """

  index: VideoIndex
  pictures: np.ndarray
  landmarker: str
  model: Path
  out: Path
  scratch: Path


@dataclasses.dataclass(frozen=True, eq=False)
class ShardPart:
  """The frames of one clip that go into a shard, in order.

  Attributes:
    clip: its id.
    index: its video.
    features: path of its audio stream.
    num_frames: how many frames the whole clip has.
    frames: [n] int32, which of them go into the shard.
    pictures: [n] int32, numbers of the pictures shown there.
    boxes: [n, 3] float64, the crops in source pixels.
    landmarks: [n, 478, 2] float32 in source pixels.
    found: [n] bool, a face was found in this very frame.
  """

  clip: str
  index: VideoIndex
  features: Path
  num_frames: int
  frames: np.ndarray
  pictures: np.ndarray
  boxes: np.ndarray
  landmarks: np.ndarray
  found: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ShardTask:
  """One shard.

  Attributes:
    path: the shard file to write.
    done: the JSON file to write after it: its description and picture
      quality by clip.
    parts: what goes into it.
    file_format: one of `shards.FORMATS`.
    crop_size: side of a crop in pixels.
    audio: the audio stream's spec.
    scratch: folder for what is half written.
  """

  path: Path
  done: Path
  parts: tuple[ShardPart, ...]
  file_format: str
  crop_size: int
  audio: dict[str, Any]
  scratch: Path

  @property
  def num_records(self) -> int:
    return sum(len(part.frames) for part in self.parts)


def track_chunk(task: TrackTask) -> int:
  """Does a `TrackTask`; returns how many frames it was."""
  with (
    open_landmarker(task.landmarker, task.model) as landmarker,
    FrameReader(task.index) as reader,
  ):
    track = track_faces(landmarker, reader.read(task.pictures))
  with replacing(task.out, task.scratch) as path, open(path, "wb") as file:
    np.savez(
      file,
      landmarks=track.landmarks,
      presence=track.presence,
      num_faces=track.num_faces,
    )
  return len(task.pictures)


def fill_shard(task: ShardTask) -> int:
  """Does a `ShardTask`; returns how many records it was."""
  quality: dict[str, list[list[float]]] = {}

  def encoded() -> Iterator[bytes]:
    for part in task.parts:
      measured = quality.setdefault(part.clip, [])
      for record in _records(part, task):
        measured.append(measure_crop(record.crop))
        yield schema.encode(record)

  with replacing(task.path, task.scratch) as path:
    shard = write_shard(path, task.path.name, encoded(), task.file_format)
  done = {"shard": dataclasses.asdict(shard), "quality": quality}
  with replacing(task.done, task.scratch) as path:
    path.write_text(json.dumps(done))
  return task.num_records


def _records(part: ShardPart, task: ShardTask) -> Iterator[schema.Record]:
  stream = np.load(part.features, mmap_mode="r")
  with FrameReader(part.index) as reader:
    pictures = reader.read(part.pictures)
    for position, picture in enumerate(pictures):
      frame = int(part.frames[position])
      box = part.boxes[position]
      audio, starts = frame_window(stream, frame, part.num_frames, task.audio)
      yield schema.Record(
        crop=crop_face(picture, box, task.crop_size),
        audio=audio,
        audio_starts=starts,
        landmarks=to_crop(part.landmarks[position], box, task.crop_size),
        box=box.astype(np.float32),
        time=frame / task.audio["fps"],
        frame=frame,
        clip=part.clip,
        valid=bool(part.found[position]),
      )


def measure_crop(crop: np.ndarray) -> list[float]:
  """Measures a crop's picture quality.

  Args:
    crop: [S, S, 3] uint8, RGB.

  Returns:
    Sharpness (variance of the Laplacian over variance of brightness), share
    of black pixels, share of white pixels.
  """
  gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
  laplacian = cv2.Laplacian(gray, cv2.CV_32F)
  sharpness = float(laplacian.var()) / max(float(gray.var()), 1.0)
  black = np.count_nonzero(gray <= _BLACK_LEVEL) / gray.size
  white = np.count_nonzero(gray >= _WHITE_LEVEL) / gray.size
  return [round(sharpness, 6), round(black, 6), round(white, 6)]
