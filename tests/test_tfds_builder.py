"""TensorFlow Datasets reads the very records that we read."""

import json
import shutil

import numpy as np
import prepared_data
import pytest
import tensorflow_datasets as tfds

from input_pipeline import tfds_builder
from input_pipeline.errors import InputError

_FIELDS = ("crop", "audio", "audio_starts", "landmarks", "box")


def describe(folder, file_format):
  data = prepared_data.make_data(folder, file_format=file_format)
  tfds_builder.write_metadata(data)
  return data


def check_element(element, frame):
  record = prepared_data.make_record(frame)
  for name in _FIELDS:
    np.testing.assert_array_equal(element[name], getattr(record, name))
  assert element["frame"] == frame
  assert element["clip"] == b"someone"
  assert element["valid"]
  assert np.float32(element["time"]) == np.float32(frame / 25)


def test_data_source_gives_random_access_to_arrayrecord(tmp_path):
  describe(tmp_path / "data", "arrayrecord")
  source = tfds.data_source(
    tfds_builder.DATASET_NAME, data_dir=tmp_path / "data/tfds", split="train"
  )
  assert len(source) == 40
  check_element(source[33], 33)
  check_element(source[2], 2)


def test_builder_reads_the_held_out_split(tmp_path):
  data = prepared_data.make_data(tmp_path / "data")
  folder = tfds_builder.write_metadata(data)
  builder = tfds.builder_from_directory(folder)
  assert set(builder.info.splits) == {"train", "eval"}
  assert builder.info.splits["eval"].num_examples == 7
  check_element(builder.as_data_source("eval")[1], 46)


def test_load_streams_tfrecord(tmp_path):
  pytest.importorskip("tensorflow")
  describe(tmp_path / "data", "tfrecord")
  dataset = tfds.load(
    tfds_builder.DATASET_NAME, data_dir=tmp_path / "data/tfds", split="eval"
  )
  elements = sorted(tfds.as_numpy(dataset), key=lambda e: int(e["frame"]))
  assert [int(e["frame"]) for e in elements] == list(range(45, 52))
  check_element(elements[0], 45)


def test_each_format_works_one_way_only(tmp_path):
  """The documentation says so; if this fails, TFDS has learnt the other."""
  for file_format in ("arrayrecord", "tfrecord"):
    describe(tmp_path / file_format, file_format)
  with pytest.raises(NotImplementedError, match="ArrayRecord"):
    tfds.load(
      tfds_builder.DATASET_NAME,
      data_dir=tmp_path / "arrayrecord/tfds",
      split="train",
    )
  with pytest.raises(NotImplementedError, match="TFRECORD"):
    tfds.data_source(
      tfds_builder.DATASET_NAME,
      data_dir=tmp_path / "tfrecord/tfds",
      split="train",
    )


def test_a_data_folder_can_be_moved(tmp_path):
  describe(tmp_path / "data", "arrayrecord")
  shutil.move(tmp_path / "data", tmp_path / "moved")
  source = tfds.data_source(
    tfds_builder.DATASET_NAME, data_dir=tmp_path / "moved/tfds", split="train"
  )
  check_element(source[0], 0)


def test_command_restores_a_lost_description(tmp_path, capsys):
  data = describe(tmp_path / "data", "arrayrecord")
  folder = tmp_path / "data/tfds"
  shutil.rmtree(folder)
  tfds_builder.main(["--data", str(data.folder)])
  assert "builder_from_directory" in capsys.readouterr().out
  info = json.loads(next(folder.rglob("dataset_info.json")).read_text())
  assert info["name"] == tfds_builder.DATASET_NAME


def test_missing_shard_is_refused(tmp_path):
  data = prepared_data.make_data(tmp_path / "data")
  (data.shard_folder / data.splits["train"][0].name).unlink()
  with pytest.raises(InputError, match="missing"):
    tfds_builder.write_metadata(data)
  assert not (tmp_path / "data/tfds").exists()
