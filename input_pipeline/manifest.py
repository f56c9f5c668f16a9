"""The manifest of a prepared data folder, and what it leads to.

`manifest.json` is written last: a folder that has one is finished. Everything
that reads prepared data starts with `load` and is refused there, with the
reason, if the folder is unfinished, damaged or of another version.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from input_pipeline import schema
from input_pipeline.atomic_file import replacing
from input_pipeline.errors import InputError
from input_pipeline.shards import FORMATS, Shard, sha256_of

FILE_NAME = "manifest.json"
INDEX_NAME = "index.npz"
PROGRESS_NAME = ".progress"

_AGAIN = "run input_pipeline.prepare again into an empty folder"


@dataclasses.dataclass(frozen=True)
class Clip:
  """One video of the data set.

  Attributes:
    id: name of its folder in `clips/`, and of its records.
    video: file name of the copied video in that folder.
    source_name: the video's file name as the user gave it.
    sha256: digest of the video.
    bytes: size of the video.
    width: of a frame, in pixels.
    height: of a frame, in pixels.
    average_fps: the video's own average frame rate.
    frames: N, frames on the resampled timeline.
    face_frames: frames in which a face was found.
    usable_frames: frames with a box, found or interpolated.
    duration_seconds: N divided by the data set's fps.
    train_end: frames before this one are for training.
    eval_start: frames from this one on are held out.
  """

  id: str
  video: str
  source_name: str
  sha256: str
  bytes: int
  width: int
  height: int
  average_fps: float
  frames: int
  face_frames: int
  usable_frames: int
  duration_seconds: float
  train_end: int
  eval_start: int


@dataclasses.dataclass(frozen=True)
class Manifest:
  """A finished data folder.

  Attributes:
    folder: where it lies.
    created_by: program and version.
    fps: frames per second of the timeline.
    audio: the audio stream's spec, `synctalk_jax.audio.features.audio_spec`.
    shapes: the sizes of a record's arrays.
    shard_format: one of `shards.FORMATS`.
    splits: the shards of each split, in order.
    index_sha256: digest of the index of records.
    clips: the videos, in the order the user gave them.
    footage: the findings of the footage check, as JSON; the clip of a finding
      on all clips together is null.
    settings: what `prepare` was asked for, as JSON.
  """

  folder: Path
  created_by: str
  fps: int
  audio: dict[str, Any]
  shapes: schema.Shapes
  shard_format: str
  splits: dict[str, tuple[Shard, ...]]
  index_sha256: str
  clips: tuple[Clip, ...]
  footage: list[dict[str, Any]]
  settings: dict[str, Any]

  @property
  def shard_folder(self) -> Path:
    return self.folder / "shards"

  def num_records(self, split: str) -> int:
    return sum(shard.records for shard in self.splits[split])


@dataclasses.dataclass(frozen=True, eq=False)
class SplitIndex:
  """Where a split's records come from, in the order of its shards.

  Attributes:
    clip: [R] int32, position in the manifest's clips.
    frame: [R] int32, frame of that clip.
    valid: [R] bool, a face was found in this very frame.
  """

  clip: np.ndarray
  frame: np.ndarray
  valid: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ClipTrack:
  """A clip with everything computed from it, for rendering and evaluation.

  Attributes:
    clip: its entry in the manifest.
    video: path of the video inside the data folder.
    audio: path of its sound, 16 kHz mono 16 bit WAV, as long as the frames.
    fps: frames per second of the timeline.
    source_frame: [N] int32, the video's frame shown at each timeline frame.
    landmarks: [N, 478, 2] float32 in source pixels, NaN where not found.
    boxes: [N, 3] float64, x0, y0 and width of the crop in source pixels.
    found: [N] bool, a face was found in this very frame.
    usable: [N] bool, the box can be used: found or interpolated.
    features: [T, F] float32, the audio encoder's input stream.
  """

  clip: Clip
  video: Path
  audio: Path
  fps: int
  source_frame: np.ndarray
  landmarks: np.ndarray
  boxes: np.ndarray
  found: np.ndarray
  usable: np.ndarray
  features: np.ndarray


def save(manifest: Manifest) -> None:
  """Writes `manifest.json`, whole or not at all."""
  fields = {"schema_version": schema.SCHEMA_VERSION}
  fields |= dataclasses.asdict(manifest)
  del fields["folder"]
  with replacing(manifest.folder / FILE_NAME) as temporary:
    temporary.write_text(json.dumps(fields, indent=2) + "\n")


def load(folder: str | os.PathLike) -> Manifest:
  """Reads the manifest of a finished data folder.

  Args:
    folder: what `input_pipeline.prepare` was given as --out.

  Returns:
    The manifest.

  Raises:
    InputError: there is none, or it is of another schema version.
  """
  path = Path(folder) / FILE_NAME
  if not path.is_file():
    raise InputError(_why_missing(Path(folder)))
  try:
    fields = json.loads(path.read_text())
    version = fields.pop("schema_version")
  except (ValueError, AttributeError, KeyError, TypeError) as error:
    raise InputError(f"{path} is no manifest of prepared data") from error
  if version != schema.SCHEMA_VERSION:
    raise InputError(
      f"{path} has schema version {version}, this program reads "
      f"{schema.SCHEMA_VERSION}; {_AGAIN}"
    )
  try:
    manifest = _from_fields(Path(folder), fields)
  except (TypeError, KeyError, AttributeError) as error:
    raise InputError(f"{path} is damaged ({error}); {_AGAIN}") from error
  if manifest.shard_format not in FORMATS:
    raise InputError(
      f"{path} names the shard format {manifest.shard_format!r}; expected one "
      f"of {', '.join(FORMATS)}; {_AGAIN}"
    )
  return manifest


def _from_fields(folder: Path, fields: dict[str, Any]) -> Manifest:
  parsed = fields | {
    "folder": folder,
    "shapes": schema.Shapes(**fields["shapes"]),
    "splits": {
      split: tuple(Shard(**shard) for shard in fields["splits"][split])
      for split in schema.SPLITS
    },
    "clips": tuple(Clip(**clip) for clip in fields["clips"]),
  }
  return Manifest(**parsed)


def _why_missing(folder: Path) -> str:
  if (folder / PROGRESS_NAME).is_dir():
    return (
      f"{folder} is unfinished: run the same input_pipeline.prepare command "
      "again, it goes on where it stopped"
    )
  return (
    f"{folder} holds no {FILE_NAME}: expected the --out folder of "
    "python -m input_pipeline.prepare --video V.mp4 --out DATA"
  )


def save_index(path: Path, index: dict[str, SplitIndex]) -> str:
  """Writes the index of all splits; returns its SHA-256."""
  arrays = {
    f"{split}_{field}": array
    for split, entry in index.items()
    for field, array in vars(entry).items()
  }
  with replacing(path) as temporary, temporary.open("wb") as file:
    np.savez(file, **arrays)
  return sha256_of(path)


def load_index(manifest: Manifest, split: str) -> SplitIndex:
  """Reads where a split's records come from.

  Raises:
    InputError: the file is missing, or not the one the manifest describes.
  """
  path = manifest.folder / INDEX_NAME
  if not path.is_file() or sha256_of(path) != manifest.index_sha256:
    raise InputError(f"{path} is missing or damaged; {_AGAIN}")
  with np.load(path) as arrays:
    index = SplitIndex(
      *(arrays[f"{split}_{name}"] for name in ("clip", "frame", "valid"))
    )
  if len(index.frame) != manifest.num_records(split):
    raise InputError(
      f"{path} lists {len(index.frame)} {split} records, the manifest "
      f"{manifest.num_records(split)}; {_AGAIN}"
    )
  return index


def load_clip(manifest: Manifest, clip_id: str | None = None) -> ClipTrack:
  """Reads what was computed from one clip.

  Args:
    manifest: from `load`.
    clip_id: which; None for the first.

  Raises:
    InputError: no such clip, or its files do not fit the manifest.
  """
  clips = {clip.id: clip for clip in manifest.clips}
  clip = clips.get(clip_id or manifest.clips[0].id)
  if clip is None:
    raise InputError(
      f"{manifest.folder} has no clip {clip_id!r}; it has: {', '.join(clips)}"
    )
  folder = manifest.folder / "clips" / clip.id
  video = folder / clip.video
  if not video.is_file() or video.stat().st_size != clip.bytes:
    raise InputError(f"{video} is missing or changed; {_AGAIN}")
  try:
    with np.load(folder / "track.npz") as arrays:
      track = dict(arrays)
    features = np.load(folder / "features.npy")
    audio = folder / "audio.wav"
    if not audio.is_file() or any(
      len(array) != clip.frames for array in track.values()
    ):
      raise ValueError("not the clip's length")
    return ClipTrack(
      clip, video, audio, manifest.fps, features=features, **track
    )
  except (OSError, ValueError, TypeError) as error:
    raise InputError(f"{folder} is damaged ({error}); {_AGAIN}") from error
