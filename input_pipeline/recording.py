"""The videos `prepare` is given: looked at, and refused, before any work."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import synctalk_jax
from input_pipeline import schema
from input_pipeline.errors import InputError
from input_pipeline.face_model import resolve_model
from input_pipeline.landmarks import FaceTrack, load_landmarks
from input_pipeline.shards import sha256_of
from input_pipeline.video import (
  VideoIndex,
  index_video,
  read_audio,
  source_frames,
)
from synctalk_jax.audio.features import audio_spec

SAMPLE_RATE = 16_000

_MIN_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Settings:
  """All that decides what `prepare` makes.

  Attributes:
    videos: the video files.
    landmarks: one file of landmarks for each video, or none at all.
    fps: frames per second of the timeline.
    encoder: audio encoder to compute the input stream of.
    crop_size: side of a crop in pixels.
    landmarker: kind of landmarker.
    model: its verified model file; None where landmarks are given.
    file_format: one of `shards.FORMATS`.
    holdout: seconds held out at the end of each clip; None for a tenth.
  """

  videos: tuple[Path, ...]
  landmarks: tuple[Path, ...]
  fps: int
  encoder: str
  crop_size: int
  landmarker: str
  model: Path | None
  file_format: str
  holdout: float | None

  @property
  def audio(self) -> dict[str, Any]:
    return audio_spec(self.encoder, self.fps)

  def describe(self, recordings: Sequence["Recording"]) -> dict[str, Any]:
    """The settings as JSON, files by their digests."""
    if self.landmarks:
      source = [sha256_of(path) for path in self.landmarks]
    else:
      source = [self.landmarker, sha256_of(self.model)]
    return {
      "schema_version": schema.SCHEMA_VERSION,
      "program_version": synctalk_jax.__version__,
      "fps": self.fps,
      "audio": self.audio,
      "crop_size": self.crop_size,
      "landmarks": source,
      "format": self.file_format,
      "holdout": self.holdout,
      "videos": [
        [recording.path.name, recording.sha256] for recording in recordings
      ],
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
  """One video, as it came.

  Attributes:
    id: name for its folder and records.
    path: where the user has it.
    sha256: digest of the file.
    bytes: size of the file.
    index: its pictures and their times.
    pictures: [N] int32, the picture shown at each frame of the timeline.
    samples: [n] int16, its sound at 16 kHz, exactly as long as the timeline.
    missing_seconds: how much of that is silence appended at the end.
    faces: landmarks that the user gave, or None.
  """

  id: str
  path: Path
  sha256: str
  bytes: int
  index: VideoIndex
  pictures: np.ndarray
  samples: np.ndarray
  missing_seconds: float
  faces: FaceTrack | None

  @property
  def stored_name(self) -> str:
    """File name of the copy in the data folder."""
    return f"source{self.path.suffix.lower()}"


def read_recordings(settings: Settings) -> list[Recording]:
  """Looks at every video.

  Raises:
    InputError: a file is missing, not a video, damaged, without sound, too
      short, or does not fit its landmarks.
  """
  landmarks = settings.landmarks or (None,) * len(settings.videos)
  if len(landmarks) != len(settings.videos):
    raise InputError(
      f"{len(landmarks)} --landmarks for {len(settings.videos)} --video; give "
      "one for each video, in the same order"
    )
  ids = clip_ids(settings.videos)
  return [
    _read(clip_id, path, landmarks_path, settings.fps)
    for clip_id, path, landmarks_path in zip(
      ids, settings.videos, landmarks, strict=True
    )
  ]


def clip_ids(paths: Sequence[Path]) -> list[str]:
  """Names for clips: of plain characters, and each one different."""
  ids: list[str] = []
  for path in paths:
    name = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-") or "clip"
    number, unique = 2, name
    while unique in ids:
      number, unique = number + 1, f"{name}-{number}"
    ids.append(unique)
  return ids


def landmark_model(path: Path | None, landmarks: Sequence[Path]) -> Path | None:
  """The model to use; none is needed where landmarks are given."""
  return None if landmarks else resolve_model(path)


def _read(
  clip_id: str, path: Path, landmarks_path: Path | None, fps: int
) -> Recording:
  index = index_video(path)
  pictures = source_frames(index, fps)
  if len(pictures) < _MIN_SECONDS * fps:
    raise InputError(
      f"{path} lasts {len(pictures) / fps:.2f} s; expected at least "
      f"{_MIN_SECONDS:g} s, and minutes for a good likeness"
    )
  samples = read_audio(path, SAMPLE_RATE)
  wanted = len(pictures) * SAMPLE_RATE // fps
  if len(samples) < SAMPLE_RATE // fps:
    milliseconds = 1000 * len(samples) / SAMPLE_RATE
    raise InputError(
      f"{path} has {milliseconds:.1f} ms of sound, less than one frame of "
      f"{1000 / fps:g} ms; give a video with its sound"
    )
  missing = max(wanted - len(samples), 0)
  faces = None
  if landmarks_path is not None:
    faces = _fit_faces(landmarks_path, pictures, len(index.pts))
  return Recording(
    id=clip_id,
    path=path,
    sha256=sha256_of(path),
    bytes=path.stat().st_size,
    index=index,
    pictures=pictures,
    samples=np.pad(samples[:wanted], (0, missing)),
    missing_seconds=missing / SAMPLE_RATE,
    faces=faces,
  )


def _fit_faces(
  path: Path, pictures: np.ndarray, num_pictures: int
) -> FaceTrack:
  """Brings landmarks to the timeline, whichever way they were counted."""
  faces = load_landmarks(path)
  count = len(faces.landmarks)
  if count == len(pictures):
    return faces
  if count != num_pictures:
    raise InputError(
      f"{path} has landmarks of {count} frames; expected {len(pictures)} (the "
      f"timeline's) or {num_pictures} (the video's)"
    )
  return FaceTrack(
    **{name: array[pictures] for name, array in vars(faces).items()}
  )
