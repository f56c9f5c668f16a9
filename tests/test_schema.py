"""A record survives its bytes, and other bytes are refused."""

import dataclasses

import numpy as np
import prepared_data
import pytest

from input_pipeline import schema
from input_pipeline.errors import InputError


def test_record_round_trip_is_exact():
  record = prepared_data.make_record(7)
  decoded = schema.decode(schema.encode(record), prepared_data.SHAPES)
  assert set(decoded) == {field.name for field in dataclasses.fields(record)}
  for name in ("crop", "audio", "audio_starts", "landmarks", "box"):
    expected = getattr(record, name)
    np.testing.assert_array_equal(decoded[name], expected)
    assert decoded[name].dtype == expected.dtype
  assert decoded["time"] == np.float32(7 / 25)
  assert decoded["frame"] == 7
  assert decoded["clip"] == "someone"
  assert decoded["valid"]


def test_missing_landmarks_stay_nan():
  record = prepared_data.make_record(7, valid=False)
  decoded = schema.decode(schema.encode(record), prepared_data.SHAPES)
  assert np.isnan(decoded["landmarks"]).all()
  assert not decoded["valid"]


def test_same_record_gives_same_bytes():
  first = schema.encode(prepared_data.make_record(3))
  assert first == schema.encode(prepared_data.make_record(3))


def test_crop_is_lossless_rgb():
  crop = np.zeros((40, 40, 3), np.uint8)
  crop[..., 0] = np.arange(40)
  crop[..., 2] = 200
  png = schema.encode_png(crop)
  assert png[:4] == b"\x89PNG"
  np.testing.assert_array_equal(schema.decode_png(png), crop)


@pytest.mark.parametrize("data", [b"", b"no record", b"\x0a\x00"])
def test_other_bytes_are_refused(data):
  with pytest.raises(InputError, match="schema 1"):
    schema.decode(data, prepared_data.SHAPES)


@pytest.mark.parametrize(
  "change", [{"crop_size": 25}, {"audio_rows": 11}, {"audio_starts": 15}]
)
def test_other_shapes_are_refused(change):
  shapes = dataclasses.replace(prepared_data.SHAPES, **change)
  data = schema.encode(prepared_data.make_record(0))
  with pytest.raises(InputError, match="damaged or of another program"):
    schema.decode(data, shapes)
