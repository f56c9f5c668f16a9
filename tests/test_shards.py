"""Shards hold what was written, in both formats, or say what is wrong."""

import pickle

import numpy as np
import pytest

from input_pipeline import shards
from input_pipeline.crc32c import crc32c
from input_pipeline.errors import InputError

RNG = np.random.default_rng(4)
RECORDS = [RNG.bytes(900 + 517 * i) for i in range(30)]


@pytest.fixture(params=shards.FORMATS)
def file_format(request):
  return request.param


def write(folder, file_format):
  parts = (RECORDS[:18], RECORDS[18:])
  written = []
  for number, part in enumerate(parts):
    name = shards.shard_name("train", number, len(parts), file_format)
    written.append(shards.write_shard(folder / name, name, part, file_format))
  return written


def damage_record(path, record):
  data = bytearray(path.read_bytes())
  data[data.index(record[:64]) + 50] ^= 1
  path.write_bytes(data)


def test_any_record_can_be_read(tmp_path, file_format):
  reader = shards.ShardReader(
    tmp_path, write(tmp_path, file_format), file_format
  )
  assert len(reader) == 30
  order = np.random.default_rng(1).permutation(30)
  assert [reader[i] for i in order] == [RECORDS[i] for i in order]
  with pytest.raises(IndexError):
    reader[30]


def test_reader_travels_by_pickle(tmp_path, file_format):
  reader = shards.ShardReader(
    tmp_path, write(tmp_path, file_format), file_format
  )
  assert reader[3] == RECORDS[3]
  assert pickle.loads(pickle.dumps(reader))[20] == RECORDS[20]  # noqa: S301


def test_same_records_give_the_same_file(tmp_path, file_format):
  (tmp_path / "a").mkdir()
  (tmp_path / "b").mkdir()
  assert write(tmp_path / "a", file_format) == write(
    tmp_path / "b", file_format
  )


def test_checks_pass_on_whole_shards(tmp_path, file_format):
  shards.check_shards(tmp_path, write(tmp_path, file_format), digests=True)


def test_missing_shard_is_named(tmp_path, file_format):
  written = write(tmp_path, file_format)
  (tmp_path / written[1].name).unlink()
  with pytest.raises(InputError, match=f"{written[1].name} is missing"):
    shards.check_shards(tmp_path, written, digests=False)


def test_short_shard_is_found_by_its_size(tmp_path, file_format):
  written = write(tmp_path, file_format)
  path = tmp_path / written[0].name
  path.write_bytes(path.read_bytes()[:-100])
  with pytest.raises(InputError, match=f"expected {written[0].bytes}"):
    shards.check_shards(tmp_path, written, digests=False)
  with pytest.raises(InputError, match="damaged"):
    shards.ShardReader(tmp_path, written, file_format)[17]


def test_changed_byte_is_found_by_digest_and_when_read(tmp_path, file_format):
  written = write(tmp_path, file_format)
  damage_record(tmp_path / written[0].name, RECORDS[5])
  shards.check_shards(tmp_path, written, digests=False)
  with pytest.raises(InputError, match="SHA-256"):
    shards.check_shards(tmp_path, written, digests=True)
  reader = shards.ShardReader(tmp_path, written, file_format)
  assert reader[4] == RECORDS[4]
  with pytest.raises(InputError, match="damaged"):
    reader[5]


def test_another_number_of_records_is_refused(tmp_path, file_format):
  written = write(tmp_path, file_format)
  other = shards.Shard(written[0].name, 17, written[0].bytes, "")
  with pytest.raises(InputError, match="18 records, expected 17"):
    shards.ShardReader(tmp_path, [other], file_format)[0]


def test_no_other_file_passes_for_a_shard(tmp_path, file_format):
  path = tmp_path / shards.shard_name("train", 0, 1, file_format)
  path.write_text("these are words, not records" * 40)
  shard = shards.Shard(path.name, 3, path.stat().st_size, "")
  with pytest.raises(InputError, match="damaged"):
    shards.ShardReader(tmp_path, [shard], file_format)[0]


@pytest.mark.parametrize(
  ("records", "count", "largest"),
  [(0, 0, 0), (1, 1, 1), (128, 1, 128), (129, 2, 128), (1_000_000, 512, 1954)],
)
def test_shard_sizes(records, count, largest):
  sizes = shards.shard_sizes(records)
  assert len(sizes) == count
  assert sum(sizes) == records
  assert max(sizes, default=0) == largest


def test_crc32c_against_known_values():
  assert crc32c(b"") == 0
  assert crc32c(b"123456789") == 0xE3069283
  # RFC 3720, appendix B.4.
  assert crc32c(bytes(32)) == 0x8A9136AA
  assert crc32c(b"\xff" * 32) == 0x62A8AB43
  assert crc32c(bytes(range(32))) == 0x46DD794E


def test_crc32c_of_every_length_continues_bytewise():
  data = np.random.default_rng(5).bytes(1_100)
  crc = 0xFFFFFFFF
  for length, byte in enumerate(data):
    assert crc32c(data[:length]) == crc ^ 0xFFFFFFFF
    crc ^= byte
    for _ in range(8):
      crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)


def test_tensorflow_reads_our_tfrecords(tmp_path):
  tf = pytest.importorskip("tensorflow")
  written = write(tmp_path, "tfrecord")
  paths = [str(tmp_path / shard.name) for shard in written]
  read = list(tf.data.TFRecordDataset(paths).as_numpy_iterator())
  assert read == RECORDS
