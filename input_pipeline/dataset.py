"""Prepared shards as batches: shuffled for training, in order for evaluation.

The order of a training run is a function of its seed alone. One shuffled
sequence of records is dealt out to the processes, so a global batch holds the
same records however many processes share the work, and an iterator's state is
one number.
"""

from typing import Any

import grain
import numpy as np

from input_pipeline import manifest as manifest_lib
from input_pipeline import schema
from input_pipeline.errors import InputError
from input_pipeline.manifest import Manifest
from input_pipeline.shards import ShardReader, check_shards

# What a batch holds: a record's fields except its box.
BATCH_FIELDS = (
  "crop",
  "audio",
  "audio_starts",
  "landmarks",
  "clip",
  "frame",
  "time",
  "valid",
)

# PNG decoding releases the interpreter lock: a few threads fill some cores.
_READ_THREADS = 8
# Counted in records, 0.35 MB each: batches are formed after it.
_PREFETCH_RECORDS = 64


class RecordSource:
  """Decoded records of a split by position, for grain.

  Attributes:
    clip: [R] int32, position in the manifest's clips of each record.
    frame: [R] int32, its frame.
    valid: [R] bool, a face was found in that very frame.
  """

  def __init__(
    self, manifest: Manifest, split: str, *, only_valid: bool, verify: bool
  ):
    """Checks a split's files and builds the source.

    Args:
      manifest: from `manifest.load`.
      split: one of `schema.SPLITS`.
      only_valid: leave out records whose box was interpolated.
      verify: compare digests, not only sizes; reads every shard.

    Raises:
      InputError: a shard or the index is missing or damaged.
    """
    shards = manifest.splits[split]
    check_shards(manifest.shard_folder, shards, digests=verify)
    index = manifest_lib.load_index(manifest, split)
    keep = index.valid if only_valid else np.ones(len(index.valid), bool)
    self._keys = np.flatnonzero(keep)
    self._shapes = manifest.shapes
    self._reader = ShardReader(
      manifest.shard_folder, shards, manifest.shard_format
    )
    self.clip = index.clip[keep]
    self.frame = index.frame[keep]
    self.valid = index.valid[keep]

  def __len__(self) -> int:
    return len(self._keys)

  def __getitem__(self, position: int) -> dict[str, Any]:
    data = self._reader[int(self._keys[position])]
    # Numbers stack into batches, names do not.
    return schema.decode(data, self._shapes) | {"clip": self.clip[position]}


def train_dataset(
  manifest: Manifest,
  batch_size: int,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
  *,
  split: str = "train",
  verify: bool = False,
) -> grain.IterDataset:
  """Endless shuffled batches.

  Args:
    manifest: from `manifest.load`.
    batch_size: records in a global batch, over all processes.
    seed: decides the order, in [0, 2**32).
    process_index: which process this is.
    process_count: how many share a batch.
    split: what to train on.
    verify: compare the shards' digests first; reads all of them.

  Returns:
    A data set whose iterator has `get_state` and `set_state`, and whose
    elements hold the fields of `BATCH_FIELDS`, stacked: crop [B, S, S, 3]
    uint8 RGB, audio [B, A, F] float32, audio_starts [B, 16] int32, landmarks
    [B, 478, 2] float32 in crop pixels, clip [B] int32 position in the
    manifest's clips, frame [B] int32, time [B] float32 seconds, valid [B] bool
    (all true); B = batch_size / process_count.

  Raises:
    InputError: the batch does not divide by the processes, there are fewer
      records than a batch, or the data are damaged.
  """
  local_batch_size = _local_batch_size(batch_size, process_count)
  source = RecordSource(manifest, split, only_valid=True, verify=verify)
  if len(source) < batch_size:
    raise InputError(
      f"{manifest.folder} has {len(source)} {split} records with a face, "
      f"fewer than one batch of {batch_size}; lower "
      "config.train.batch_size or prepare more footage"
    )
  dataset = grain.MapDataset.source(source).shuffle(seed).repeat()
  dataset = dataset[process_index::process_count].map(_batch_fields)
  return _read(dataset).batch(local_batch_size, drop_remainder=True)


def eval_dataset(
  manifest: Manifest,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  *,
  split: str = "eval",
  verify: bool = False,
) -> grain.IterDataset:
  """One pass in order, every record exactly once.

  Args:
    manifest: from `manifest.load`.
    batch_size: records in a global batch, over all processes.
    process_index: which process this is.
    process_count: how many share a batch; all get the same number of batches.
    split: what to read.
    verify: compare the shards' digests first; reads all of them.

  Returns:
    A data set like `train_dataset`'s, with `mask` [B] bool: false where the
    last batch was filled up by repeating the last record. Records without a
    face of their own are there too: `valid` is false.

  Raises:
    InputError: the batch does not divide by the processes, there is no
      record, or the data are damaged.
  """
  local_batch_size = _local_batch_size(batch_size, process_count)
  source = RecordSource(manifest, split, only_valid=False, verify=verify)
  if not len(source):
    raise InputError(
      f"{manifest.folder} has no {split} records; prepare it with a larger "
      "--holdout"
    )
  num_records = len(source)
  num_padded = -(-num_records // batch_size) * batch_size

  def masked_record(position: int) -> dict[str, np.ndarray]:
    record = _batch_fields(source[min(position, num_records - 1)])
    return record | {"mask": np.bool_(position < num_records)}

  dataset = grain.MapDataset.range(num_padded)[process_index::process_count]
  dataset = dataset.map(masked_record)
  return _read(dataset).batch(local_batch_size, drop_remainder=True)


def _local_batch_size(batch_size: int, process_count: int) -> int:
  if batch_size < 1 or batch_size % process_count:
    raise InputError(
      f"a batch of {batch_size} does not divide by {process_count} "
      "processes; change config.train.batch_size"
    )
  return batch_size // process_count


def _batch_fields(record: dict[str, Any]) -> dict[str, np.ndarray]:
  return {name: record[name] for name in BATCH_FIELDS}


def _read(dataset: grain.MapDataset) -> grain.IterDataset:
  return dataset.to_iter_dataset(
    grain.ReadOptions(
      num_threads=_READ_THREADS, prefetch_buffer_size=_PREFETCH_RECORDS
    )
  )
