"""Shard files: writing them, checking them, and reading any record.

Two formats hold the same records: ArrayRecord, made for random access, and
TFRecord, made for reading in order, whose framing (length, checksum, bytes,
checksum) gives random access too once the lengths have been walked through.
"""

import dataclasses
import hashlib
import mmap
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import (
  ArrayRecordReader,
  ArrayRecordWriter,
)

from input_pipeline.crc32c import masked_crc32c
from input_pipeline.errors import InputError

FORMATS = ("arrayrecord", "tfrecord")

# One record a chunk: random reads touch nothing else. Crops are compressed
# already, and a general compressor would only cost time.
_WRITER_OPTIONS = "group_size:1,uncompressed"
# Without read-ahead: records are drawn in random order.
_READER_OPTIONS = "readahead_buffer_size:0"

_MIN_SHARD_RECORDS = 128
_MAX_SHARDS = 512

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


@dataclasses.dataclass(frozen=True)
class Shard:
  """A finished shard file.

  Attributes:
    name: file name in the folder of shards.
    records: how many it holds.
    bytes: its size.
    sha256: its digest, hexadecimal.
  """

  name: str
  records: int
  bytes: int
  sha256: str


def shard_name(split: str, index: int, count: int, file_format: str) -> str:
  """The file name of shard `index` of `count`."""
  return f"{split}-{index:05d}-of-{count:05d}.{file_format}"


def shard_sizes(num_records: int) -> list[int]:
  """How many records each shard of a split holds.

  128 records are about 25 MB, small enough to spread over processes; a
  reader keeps one file open per shard, so there are never more than 512.
  """
  size = max(_MIN_SHARD_RECORDS, -(-num_records // _MAX_SHARDS))
  return [
    min(size, num_records - start) for start in range(0, num_records, size)
  ]


def sha256_of(path: Path) -> str:
  """The hexadecimal SHA-256 of a file."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def write_shard(
  path: Path, name: str, records: Iterable[bytes], file_format: str
) -> Shard:
  """Writes one shard.

  Args:
    path: where to write it; the caller moves it to its name when it is whole.
    name: the file name it will have.
    records: serialised records.
    file_format: one of `FORMATS`.

  Returns:
    Its description.
  """
  write = _write_array_record if file_format == FORMATS[0] else _write_tfrecord
  count = write(path, records)
  return Shard(name, count, path.stat().st_size, sha256_of(path))


def _write_array_record(path: Path, records: Iterable[bytes]) -> int:
  writer = ArrayRecordWriter(str(path), _WRITER_OPTIONS)
  count = 0
  try:
    for record in records:
      writer.write(record)
      count += 1
  finally:
    writer.close()
  return count


def _write_tfrecord(path: Path, records: Iterable[bytes]) -> int:
  count = 0
  with open(path, "wb") as file:
    for record in records:
      length = _LENGTH.pack(len(record))
      file.write(length + _CRC.pack(masked_crc32c(length)))
      file.write(record + _CRC.pack(masked_crc32c(record)))
      count += 1
  return count


def check_shards(
  folder: Path, shards: Sequence[Shard], *, digests: bool
) -> None:
  """Compares shard files with their descriptions.

  Args:
    folder: where they lie.
    shards: what the manifest says.
    digests: also compute every file's SHA-256, which reads all of them.

  Raises:
    InputError: a shard is missing, of another size, or of another digest.
  """
  for shard in shards:
    path = folder / shard.name
    if not path.is_file():
      raise InputError(
        f"shard {path} is missing; copy the data folder again or run "
        "input_pipeline.prepare into an empty folder"
      )
    size = path.stat().st_size
    if size != shard.bytes:
      raise _damaged(path, f"{size} bytes, expected {shard.bytes}")
    if digests and sha256_of(path) != shard.sha256:
      raise _damaged(path, "its SHA-256 is not the manifest's")


def _damaged(path: Path, what: str) -> InputError:
  return InputError(
    f"shard {path} is damaged ({what}); copy the data folder again or run "
    "input_pipeline.prepare into an empty folder"
  )


class ShardReader:
  """Random access to the records of several shards, from any thread.

  Files are opened when first read and again in another process, so a reader
  travels by pickle.
  """

  def __init__(self, folder: Path, shards: Sequence[Shard], file_format: str):
    """Builds a reader; opens nothing.

    Args:
      folder: where the shards lie.
      shards: in the order in which their records count.
      file_format: one of `FORMATS`.
    """
    self._folder = folder
    self._shards = tuple(shards)
    self._open = (
      _open_array_record if file_format == FORMATS[0] else _open_tfrecord
    )
    self._ends = np.cumsum([shard.records for shard in shards])
    self._read: dict[int, Callable[[int], bytes]] = {}
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return int(self._ends[-1]) if len(self._ends) else 0

  def __getitem__(self, index: int) -> bytes:
    """The bytes of record `index`, counted over all shards."""
    if not 0 <= index < len(self):
      raise IndexError(f"record {index} is not in [0, {len(self)})")
    number = int(np.searchsorted(self._ends, index, side="right"))
    shard = self._shards[number]
    position = int(index - (self._ends[number] - shard.records))
    return self._reader(number)(position)

  def __getstate__(self) -> dict:
    return self.__dict__ | {"_read": {}, "_lock": None}

  def __setstate__(self, state: dict) -> None:
    self.__dict__.update(state, _lock=threading.Lock())

  def _reader(self, number: int) -> Callable[[int], bytes]:
    with self._lock:
      if number not in self._read:
        shard = self._shards[number]
        path = self._folder / shard.name
        self._read[number] = self._open(path, shard.records)
      return self._read[number]


def _open_array_record(path: Path, records: int) -> Callable[[int], bytes]:
  try:
    reader = ArrayRecordReader(str(path), _READER_OPTIONS)
    found = reader.num_records()
  except (RuntimeError, ValueError) as error:
    raise _damaged(path, str(error)) from error
  if found != records:
    raise _damaged(path, f"{found} records, expected {records}")

  def read(position: int) -> bytes:
    try:
      return reader.read([position])[0]
    except (RuntimeError, ValueError) as error:
      raise _damaged(path, str(error)) from error

  return read


def _open_tfrecord(path: Path, records: int) -> Callable[[int], bytes]:
  with open(path, "rb") as file:
    try:
      # Read from any thread, and freed with the last reference.
      data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
      raise _damaged(path, "it is empty") from error
  spans = _tfrecord_spans(data, path)
  if len(spans) != records:
    raise _damaged(path, f"{len(spans)} records, expected {records}")

  def read(position: int) -> bytes:
    body = data[spans[position]]
    end = spans[position].stop
    crc = data[end : end + _CRC.size]
    if crc != _CRC.pack(masked_crc32c(body)):
      raise _damaged(path, f"record {position} fails its checksum")
    return body

  return read


def _tfrecord_spans(data: mmap.mmap, path: Path) -> list[slice]:
  """Where every record lies, from the framing alone."""
  spans = []
  offset = 0
  while offset < len(data):
    start = offset + _LENGTH.size
    length, crc = data[offset:start], data[start : start + _CRC.size]
    if crc != _CRC.pack(masked_crc32c(length)):
      raise _damaged(path, f"no record header at byte {offset}")
    start += _CRC.size
    stop = start + _LENGTH.unpack(length)[0]
    spans.append(slice(start, stop))
    offset = stop + _CRC.size
  return spans
