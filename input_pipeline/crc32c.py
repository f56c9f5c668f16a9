"""CRC-32C (Castagnoli), the checksum of TFRecord files, in numpy.

A message is cut into lanes that are worked on side by side, then folded in
pairs: appending n zero bytes to a message multiplies its checksum by a
constant matrix over GF(2), and the checksum of a sum is the sum.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # bit-reversed
_LANE_BYTES = 256


def crc32c(data: bytes) -> int:
  """The CRC-32C of `data`, in [0, 2**32)."""
  if len(data) < 4:
    return _bytewise(data)
  # A register preset to ones equals ones added to the first four bytes;
  # after that, zero bytes in front change nothing, so lanes may be filled up.
  num_lanes = 1 << (-(-len(data) // _LANE_BYTES) - 1).bit_length()
  padded = np.zeros(num_lanes * _LANE_BYTES, np.uint8)
  start = len(padded) - len(data)
  padded[start:] = np.frombuffer(data, np.uint8)
  padded[start : start + 4] ^= 0xFF
  return int(_fold(_lane_crcs(padded))) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
  """The rotated and shifted CRC-32C that TFRecord files store."""
  crc = crc32c(data)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _bytewise(data: bytes) -> int:
  crc = 0xFFFFFFFF
  for byte in data:
    crc = int(_byte_table()[(crc ^ byte) & 0xFF]) ^ crc >> 8
  return crc ^ 0xFFFFFFFF


def _lane_crcs(padded: np.ndarray) -> np.ndarray:
  """[lanes] uint32: the checksum, from a register of zeros, of each lane."""
  words = np.ascontiguousarray(
    padded.view("<u2").reshape(-1, _LANE_BYTES // 2).T
  )
  table = _word_table()
  crc = np.zeros(words.shape[1], np.uint32)
  for word in words:
    crc = table[(crc ^ word) & 0xFFFF] ^ crc >> 16
  return crc


def _fold(crcs: np.ndarray) -> np.uint32:
  level = 0
  while len(crcs) > 1:
    crcs = _append_zeros(crcs[0::2], level) ^ crcs[1::2]
    level += 1
  return crcs[0]


def _append_zeros(crcs: np.ndarray, level: int) -> np.ndarray:
  """Checksums after `_LANE_BYTES << level` further zero bytes."""
  tables = _zero_tables(level)
  result = tables[0][crcs & 0xFF]
  for byte in range(1, 4):
    result ^= tables[byte][crcs >> 8 * byte & 0xFF]
  return result


@functools.cache
def _byte_table() -> np.ndarray:
  table = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    table = table >> 1 ^ (table & 1) * np.uint32(_POLYNOMIAL)
  return table


@functools.cache
def _word_table() -> np.ndarray:
  words = np.arange(1 << 16, dtype=np.uint32)
  for _ in range(2):
    words = _byte_table()[words & 0xFF] ^ words >> 8
  return words


@functools.cache
def _zero_tables(level: int) -> np.ndarray:
  """[4, 256] uint32: `_append_zeros` of every value of each byte."""
  values = np.arange(256, dtype=np.uint32) << 8 * np.arange(
    4, dtype=np.uint32
  ).reshape(4, 1)
  if level > 0:
    return _append_zeros(_append_zeros(values, level - 1), level - 1)
  for _ in range(_LANE_BYTES):
    values = _byte_table()[values & 0xFF] ^ values >> 8
  return values
