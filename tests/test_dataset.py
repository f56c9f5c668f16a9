"""Batches: exact order, exact resume, every record accounted for."""

import itertools
import subprocess
import sys

import numpy as np
import prepared_data
import pytest

from input_pipeline import dataset, manifest
from input_pipeline.errors import InputError
from input_pipeline.shards import FORMATS

SEED = 11


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  return prepared_data.make_data(tmp_path_factory.mktemp("data") / "data")


def take(batches, count):
  return list(itertools.islice(iter(batches), count))


def frames(batches):
  return [batch["frame"].tolist() for batch in batches]


def test_batch_holds_records_stacked(data):
  (batch,) = take(dataset.train_dataset(data, 6, SEED), 1)
  assert set(batch) == set(dataset.BATCH_FIELDS)
  shapes = {name: (a.shape, a.dtype.name) for name, a in batch.items()}
  assert shapes == {
    "crop": ((6, 24, 24, 3), "uint8"),
    "audio": ((6, 12, 5), "float32"),
    "audio_starts": ((6, 16), "int32"),
    "landmarks": ((6, 478, 2), "float32"),
    "clip": ((6,), "int32"),
    "frame": ((6,), "int32"),
    "time": ((6,), "float32"),
    "valid": ((6,), "bool"),
  }
  for i, frame in enumerate(batch["frame"]):
    record = prepared_data.make_record(int(frame))
    np.testing.assert_array_equal(batch["crop"][i], record.crop)
    np.testing.assert_array_equal(batch["audio"][i], record.audio)
    np.testing.assert_array_equal(batch["landmarks"][i], record.landmarks)


def test_an_epoch_is_every_valid_record_once(data):
  valid = [frame for frame in range(40) if frame % 8 != 7]
  batches = take(dataset.train_dataset(data, 5, SEED), 14)
  order = np.concatenate(frames(batches)).tolist()
  first, second = order[:35], order[35:]
  assert sorted(first) == sorted(second) == valid
  assert first != valid
  assert first != second


def test_order_depends_on_the_seed_alone(data):
  order = frames(take(dataset.train_dataset(data, 5, SEED), 8))
  assert order == frames(take(dataset.train_dataset(data, 5, SEED), 8))
  assert order != frames(take(dataset.train_dataset(data, 5, SEED + 1), 8))


def test_resume_is_exact(data):
  iterator = iter(dataset.train_dataset(data, 4, SEED))
  for _ in range(11):
    next(iterator)
  state = iterator.get_state()
  expected = [next(iterator) for _ in range(5)]
  resumed = iter(dataset.train_dataset(data, 4, SEED))
  resumed.set_state(state)
  for batch in expected:
    again = next(resumed)
    for name in dataset.BATCH_FIELDS:
      np.testing.assert_array_equal(batch[name], again[name])


def test_processes_share_the_global_batch(data):
  whole = frames(take(dataset.train_dataset(data, 8, SEED), 6))
  halves = [
    frames(take(dataset.train_dataset(data, 8, SEED, i, 2), 6)) for i in (0, 1)
  ]
  for batch, left, right in zip(whole, *halves, strict=True):
    assert len(left) == len(right) == 4
    assert sorted(batch) == sorted(left + right)


def test_both_formats_give_the_same_batches(tmp_path):
  batches = [
    take(
      dataset.train_dataset(
        prepared_data.make_data(tmp_path / name, file_format=name), 8, SEED
      ),
      3,
    )
    for name in FORMATS
  ]
  for first, second in zip(*batches, strict=True):
    for name in dataset.BATCH_FIELDS:
      np.testing.assert_array_equal(first[name], second[name])


def test_evaluation_is_in_order_padded_and_masked(data):
  batches = list(dataset.eval_dataset(data, 4))
  assert frames(batches) == [[45, 46, 47, 48], [49, 50, 51, 51]]
  assert batches[1]["mask"].tolist() == [True, True, True, False]
  assert batches[0]["valid"].tolist() == [True, True, False, True]


def test_evaluation_gives_every_process_as_many_batches(data):
  parts = [list(dataset.eval_dataset(data, 4, i, 4)) for i in range(4)]
  assert {len(part) for part in parts} == {2}
  seen = [
    int(frame)
    for part in parts
    for batch in part
    for frame in batch["frame"][batch["mask"]]
  ]
  assert sorted(seen) == list(range(45, 52))


def test_fewer_records_than_a_batch_is_refused(data):
  with pytest.raises(InputError, match=r"35 train records .* batch of 36"):
    dataset.train_dataset(data, 36, SEED)


def test_batch_that_does_not_divide_is_refused(data):
  with pytest.raises(InputError, match="batch of 9 does not divide by 2"):
    dataset.train_dataset(data, 9, SEED, 0, 2)


def test_no_held_out_records_is_refused(tmp_path):
  data = prepared_data.make_data(tmp_path / "data", num_eval=0)
  with pytest.raises(InputError, match="--holdout"):
    dataset.eval_dataset(data, 4)


def test_damage_is_found_before_training(tmp_path):
  data = prepared_data.make_data(tmp_path / "data")
  path = data.shard_folder / data.splits["train"][1].name
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  dataset.train_dataset(data, 4, SEED)
  with pytest.raises(InputError, match="SHA-256"):
    dataset.train_dataset(data, 4, SEED, verify=True)
  path.unlink()
  with pytest.raises(InputError, match="missing"):
    dataset.train_dataset(data, 4, SEED)


def test_reading_needs_no_tensorflow(data):
  program = (
    "import sys; from input_pipeline import dataset, manifest;"
    f"data = manifest.load({str(data.folder)!r});"
    "next(iter(dataset.train_dataset(data, 4, 0)));"
    "assert 'tensorflow' not in sys.modules"
  )
  subprocess.run([sys.executable, "-c", program], check=True)


def test_manifest_path_may_be_relative(data, monkeypatch):
  monkeypatch.chdir(data.folder.parent)
  relative = manifest.load("data")
  assert frames(take(dataset.train_dataset(relative, 4, SEED), 2)) == frames(
    take(dataset.train_dataset(data, 4, SEED), 2)
  )
