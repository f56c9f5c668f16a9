r"""Describes prepared data to TensorFlow Datasets.

    python -m input_pipeline.tfds_builder --data DATA

`prepare` does this already; the command is for a folder that was moved or
whose description was lost. Nothing is copied: the description in `DATA/tfds`
points to the shards that are there.

    tfds.data_source("talking_face", data_dir="DATA/tfds", split="train")
    tfds.load("talking_face", data_dir="DATA/tfds", split="train")

The first needs no TensorFlow but ArrayRecord shards, the second needs
TensorFlow and TFRecord shards: that is what TensorFlow Datasets supports.
Both read only the records; the order, the batches and the checks of
`input_pipeline.dataset` are not part of it.

Exit codes: 0 done, 2 bad input.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from input_pipeline import manifest as manifest_lib
from input_pipeline import schema
from input_pipeline.errors import run_command
from input_pipeline.manifest import Manifest
from input_pipeline.shards import check_shards

DATASET_NAME = "talking_face"
FOLDER_NAME = "tfds"

_FILE_FORMATS = {
  "arrayrecord": tfds.core.FileFormat.ARRAY_RECORD,
  "tfrecord": tfds.core.FileFormat.TFRECORD,
}


def features(shapes: schema.Shapes) -> tfds.features.FeaturesDict:
  """A record's fields in the terms of TensorFlow Datasets."""
  size = shapes.crop_size
  return tfds.features.FeaturesDict(
    {
      "crop": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
      "audio": tfds.features.Tensor(
        shape=(shapes.audio_rows, shapes.audio_dim), dtype=np.float32
      ),
      "audio_starts": tfds.features.Tensor(
        shape=(shapes.audio_starts,), dtype=np.int32
      ),
      "landmarks": tfds.features.Tensor(
        shape=(schema.NUM_LANDMARKS, 2), dtype=np.float32
      ),
      "box": tfds.features.Tensor(shape=(3,), dtype=np.float32),
      "time": tfds.features.Scalar(dtype=np.float32),
      "frame": tfds.features.Scalar(dtype=np.int32),
      "clip": tfds.features.Text(),
      "valid": tfds.features.Scalar(dtype=np.bool_),
    }
  )


def write_metadata(manifest: Manifest) -> Path:
  """Writes the description; replaces the one that may be there.

  Args:
    manifest: of the data folder; its shards must be there.

  Returns:
    The folder that `tfds.builder_from_directory` takes.

  Raises:
    InputError: a shard is missing or damaged.
  """
  for shards in manifest.splits.values():
    check_shards(manifest.shard_folder, shards, digests=False)
  root = manifest.folder / FOLDER_NAME
  version = f"{schema.SCHEMA_VERSION}.0.0"
  folder = root / DATASET_NAME / version
  shutil.rmtree(root, ignore_errors=True)
  folder.mkdir(parents=True)
  template = tfds.core.ShardedFileTemplate(
    data_dir=folder,
    dataset_name=DATASET_NAME,
    # Relative, so that a data folder can be moved.
    template=os.path.relpath(manifest.shard_folder, folder)
    + f"/{{SPLIT}}-{{SHARD_X_OF_Y}}.{manifest.shard_format}",
  )
  info = tfds.core.DatasetInfo(
    builder=tfds.core.DatasetIdentity(
      name=DATASET_NAME,
      version=tfds.core.Version(version),
      data_dir=os.fspath(folder),
      # No code is needed to read it.
      module_name="",
    ),
    description="Face crops and audio windows of filmed people.",
    features=features(manifest.shapes),
  )
  info.set_file_format(_FILE_FORMATS[manifest.shard_format])
  info.set_splits(
    tfds.core.SplitDict(
      [
        tfds.core.SplitInfo(
          name=split,
          shard_lengths=[shard.records for shard in shards],
          num_bytes=sum(shard.bytes for shard in shards),
          filename_template=template.replace(split=split),
        )
        for split, shards in manifest.splits.items()
        if shards
      ]
    )
  )
  info.write_to_directory(folder)
  return folder


def main(argv: Sequence[str] | None = None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m input_pipeline.tfds_builder",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--data", required=True, metavar="DATA", help="what prepare made"
  )
  arguments = parser.parse_args(argv)
  folder = write_metadata(manifest_lib.load(arguments.data))
  print(f"tfds.builder_from_directory({str(folder)!r}) reads it now")


if __name__ == "__main__":
  sys.exit(run_command(main))
