"""Which frame becomes which record of which shard."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from input_pipeline import schema, shards
from input_pipeline.manifest import SplitIndex
from input_pipeline.prepare_tasks import ShardPart, ShardTask
from input_pipeline.recording import Recording, Settings
from input_pipeline.work_folder import WorkFolder


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
  """What the pictures of a recording gave.

  Attributes:
    landmarks: [N, 478, 2] float32 in source pixels, NaN where not found.
    num_faces: [N] int, faces seen.
    raw_boxes: [N, 3] float64, before smoothing.
    boxes: [N, 3] float64, after it.
    found: [N] bool, a face was found in this very frame.
    usable: [N] bool, the box can be used.
    train_end: frames before this one train.
    eval_start: frames from this one on are held out.
  """

  landmarks: np.ndarray
  num_faces: np.ndarray
  raw_boxes: np.ndarray
  boxes: np.ndarray
  found: np.ndarray
  usable: np.ndarray
  train_end: int
  eval_start: int

  def frames(self, split: str) -> np.ndarray:
    """The frames that become records of a split, in order."""
    first, last = (
      (0, self.train_end)
      if split == "train"
      else (self.eval_start, len(self.usable))
    )
    return first + np.flatnonzero(self.usable[first:last])


def record_index(tracks: Sequence[Track]) -> dict[str, SplitIndex]:
  """Where every record comes from, split by split, in their order."""
  index = {}
  for split in schema.SPLITS:
    frames = [track.frames(split) for track in tracks]
    counts = [len(of_clip) for of_clip in frames]
    valid = [t.found[f] for t, f in zip(tracks, frames, strict=True)]
    index[split] = SplitIndex(
      clip=np.repeat(np.arange(len(tracks)), counts).astype(np.int32),
      frame=np.concatenate(frames).astype(np.int32),
      valid=np.concatenate(valid),
    )
  return index


def shard_tasks(
  split: str,
  index: SplitIndex,
  recordings: Sequence[Recording],
  tracks: Sequence[Track],
  settings: Settings,
  folder: WorkFolder,
) -> Iterator[ShardTask]:
  """The shards of a split, as pieces of work.

  Args:
    split: one of `schema.SPLITS`.
    index: of that split, from `record_index`.
    recordings: the clips.
    tracks: what their pictures gave.
    settings: what to make of them.
    folder: where the shards go.

  Yields:
    One task for each shard, in order.
  """
  sizes = shards.shard_sizes(len(index.frame))
  ends = np.cumsum(sizes)
  for number, (size, end) in enumerate(zip(sizes, ends, strict=True)):
    records = slice(end - size, end)
    name = shards.shard_name(split, number, len(sizes), settings.file_format)
    yield ShardTask(
      path=folder.root / "shards" / name,
      done=folder.progress / f"{name}.json",
      parts=tuple(
        _shard_part(
          recordings[clip],
          tracks[clip],
          index.frame[records][index.clip[records] == clip],
        )
        for clip in np.unique(index.clip[records])
      ),
      file_format=settings.file_format,
      crop_size=settings.crop_size,
      audio=settings.audio,
      scratch=folder.progress,
    )


def _shard_part(
  recording: Recording, track: Track, frames: np.ndarray
) -> ShardPart:
  return ShardPart(
    clip=recording.id,
    index=recording.index,
    features=recording.index.path.with_name("features.npy"),
    num_frames=len(track.found),
    frames=frames,
    pictures=recording.pictures[frames],
    boxes=track.boxes[frames],
    landmarks=track.landmarks[frames],
    found=track.found[frames],
  )
