"""A small finished data folder of made-up records, without any video."""

from pathlib import Path

import numpy as np

from input_pipeline import manifest, schema, shards
from synctalk_jax import mouth
from synctalk_jax.audio import features, windows

SHAPES = schema.Shapes(
  crop_size=24, audio_rows=12, audio_dim=5, audio_starts=16
)
TALKING_SPEC = features.audio_spec("ave", 25)
TALKING_SHAPES = schema.Shapes(88, *windows.window_shape(TALKING_SPEC))


def make_record(frame: int, *, valid: bool = True) -> schema.Record:
  """A record whose every field tells the frame."""
  rng = np.random.default_rng(frame)
  landmarks = rng.uniform(0, 24, (schema.NUM_LANDMARKS, 2)).astype(np.float32)
  return schema.Record(
    crop=rng.integers(0, 256, (24, 24, 3), dtype=np.uint8),
    audio=rng.normal(size=(12, 5)).astype(np.float32),
    audio_starts=np.arange(16, dtype=np.int32),
    landmarks=landmarks if valid else np.full_like(landmarks, np.nan),
    box=np.array([frame, 2.5, 24.0], np.float32),
    time=frame / 25,
    frame=frame,
    clip="someone",
    valid=valid,
  )


def make_talking_record(frame: int, *, valid: bool = True) -> schema.Record:
  """A record that a real network can learn: a bar as high as it is loud."""
  size, num_frames = TALKING_SHAPES.crop_size, 60
  loudness = 0.5 + 0.5 * np.sin(np.arange(200) / 6.0)
  stream = np.repeat(8 * loudness[:, None] - 4, 80, axis=1).astype(np.float32)
  window, starts = windows.frame_window(stream, frame, num_frames, TALKING_SPEC)
  rng = np.random.default_rng(frame)
  crop = np.full((size, size, 3), (200, 150, 120), np.uint8)
  crop[:10] = rng.integers(0, 256, 3)
  height = round(4 + 14 * loudness[min(frame * 80 // 25, 199)])
  crop[40 : 40 + height, 28:60] = (60, 10, 20)
  landmarks = rng.uniform(20, 68, (schema.NUM_LANDMARKS, 2))
  landmarks[mouth.OUTER_LIPS] = rng.uniform(38, 62, (20, 2))
  return schema.Record(
    crop=crop,
    audio=window,
    audio_starts=starts,
    landmarks=landmarks.astype(np.float32),
    box=np.array([frame, 2.5, size], np.float32),
    time=frame / 25,
    frame=frame,
    clip="someone",
    valid=valid,
  )


def make_data(
  folder: Path,
  *,
  file_format: str = "arrayrecord",
  num_train: int = 40,
  num_eval: int = 7,
  talking: bool = False,
) -> manifest.Manifest:
  """Writes a data folder: train in two shards, then eval in one.

  Every eighth record has no face of its own. `talking` records have the
  shapes of the real audio encoder and a crop that follows the audio.
  """
  make = make_talking_record if talking else make_record
  (folder / "shards").mkdir(parents=True)
  sizes = {
    "train": [num_train - 10, 10],
    "eval": [num_eval] if num_eval else [],
  }
  splits, index, frame = {}, {}, 0
  for split, shard_records in sizes.items():
    frames = np.arange(frame, frame + sum(shard_records), dtype=np.int32)
    frame += len(frames) + 5
    valid = frames % 8 != 7
    written = []
    parts = np.split(frames, np.cumsum(shard_records)[:-1])
    for number, part in enumerate(parts if shard_records else []):
      name = shards.shard_name(split, number, len(shard_records), file_format)
      records = (
        schema.encode(make(int(f), valid=bool(f % 8 != 7))) for f in part
      )
      path = folder / "shards" / name
      written.append(shards.write_shard(path, name, records, file_format))
    splits[split] = tuple(written)
    index[split] = manifest.SplitIndex(np.zeros_like(frames), frames, valid)
  data = manifest.Manifest(
    folder=folder,
    created_by="test",
    fps=25,
    audio=TALKING_SPEC if talking else {"encoder": "ave"},
    shapes=TALKING_SHAPES if talking else SHAPES,
    shard_format=file_format,
    splits=splits,
    index_sha256=manifest.save_index(folder / manifest.INDEX_NAME, index),
    clips=(
      manifest.Clip(
        id="someone",
        video="source.mp4",
        source_name="someone.mp4",
        sha256="0" * 64,
        bytes=3,
        width=64,
        height=48,
        average_fps=25.0,
        frames=frame,
        face_frames=int(sum(entry.valid.sum() for entry in index.values())),
        usable_frames=frame,
        duration_seconds=frame / 25,
        train_end=num_train,
        eval_start=num_train + 5,
      ),
    ),
    footage=[],
    settings={},
  )
  manifest.save(data)
  return data
