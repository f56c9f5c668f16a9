"""What one record of the prepared data is, and its bytes.

A record is one video frame of a talking face: the crop, the audio it is
spoken to, and where it came from. Its bytes are a `tf.train.Example`, so that
ArrayRecord files, TFRecord files and TensorFlow Datasets hold the same ones.
TensorFlow itself is not needed: the message class is the copy that
tensorflow-datasets carries.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_generated_pb2 as example_pb2

from input_pipeline.errors import InputError

# Raise it when a reader of the old data would misread the new.
SCHEMA_VERSION = 1

NUM_LANDMARKS = 478
SPLITS = ("train", "eval")

# Run lengths after a difference to the row above: on 328x328 faces half the
# file of stored pixels, decoded in about 1.6 ms; the default settings give a
# tenth less and take half as long again to decode.
_PNG_SETTINGS = (
  cv2.IMWRITE_PNG_COMPRESSION,
  1,
  cv2.IMWRITE_PNG_STRATEGY,
  cv2.IMWRITE_PNG_STRATEGY_RLE,
  cv2.IMWRITE_PNG_FILTER,
  cv2.IMWRITE_PNG_FILTER_UP,
)


@dataclasses.dataclass(frozen=True)
class Shapes:
  """The sizes that every record of a data set shares.

  Attributes:
    crop_size: S, side of the square crop in pixels.
    audio_rows: A, rows of the audio stream in a window.
    audio_dim: F, width of the audio stream.
    audio_starts: feature rows of a window.
  """

  crop_size: int
  audio_rows: int
  audio_dim: int
  audio_starts: int


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
  """One video frame.

  Attributes:
    crop: [S, S, 3] uint8, RGB.
    audio: [A, F] float32, a slice of the encoder's input stream.
    audio_starts: [16] int32, where each feature row starts in `audio`.
    landmarks: [478, 2] float32, x and y in crop pixels; NaN where no face was
      found in this very frame.
    box: [3] float32, the crop's x0, y0 and width in source pixels.
    time: seconds from the start of the clip.
    frame: index of the frame on the clip's resampled timeline.
    clip: id of the clip.
    valid: whether a face was found in this very frame; otherwise the box was
      interpolated from its neighbours.
  """

  crop: np.ndarray
  audio: np.ndarray
  audio_starts: np.ndarray
  landmarks: np.ndarray
  box: np.ndarray
  time: float
  frame: int
  clip: str
  valid: bool


def encode_png(picture: np.ndarray) -> bytes:
  """Packs a picture without loss.

  Args:
    picture: [H, W, 3] uint8, RGB.

  Returns:
    A PNG file's bytes.
  """
  _, png = cv2.imencode(
    ".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _PNG_SETTINGS
  )
  return png.tobytes()


def decode_png(png: bytes) -> np.ndarray:
  """Unpacks `encode_png`'s bytes into [H, W, 3] uint8, RGB."""
  picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
  if picture is None:
    raise ValueError("its crop is no readable PNG")
  return picture


def encode(record: Record) -> bytes:
  """Packs a record.

  Returns:
    A serialised `tf.train.Example`; the same record gives the same bytes.
  """
  example = example_pb2.Example()
  feature = example.features.feature
  feature["crop"].bytes_list.value.append(encode_png(record.crop))
  for key in ("audio", "landmarks", "box"):
    feature[key].float_list.value.extend(getattr(record, key).ravel().tolist())
  feature["audio_starts"].int64_list.value.extend(record.audio_starts.tolist())
  feature["time"].float_list.value.append(record.time)
  feature["frame"].int64_list.value.append(record.frame)
  feature["clip"].bytes_list.value.append(record.clip.encode())
  feature["valid"].int64_list.value.append(int(record.valid))
  return example.SerializeToString(deterministic=True)


def decode(data: bytes, shapes: Shapes) -> dict[str, Any]:
  """Unpacks a record.

  Args:
    data: from `encode`.
    shapes: what the data set's manifest says its arrays measure.

  Returns:
    The fields of `Record` by name: arrays, and numpy scalars (time float32,
    frame int32, valid bool) so that records stack; clip stays a string.

  Raises:
    InputError: the bytes are no such record.
  """
  try:
    feature = example_pb2.Example.FromString(data).features.feature
    starts = np.array(feature["audio_starts"].int64_list.value, np.int32)
    return {
      "crop": _checked_crop(feature["crop"].bytes_list.value[0], shapes),
      "audio": _floats(feature["audio"], shapes.audio_rows, shapes.audio_dim),
      "audio_starts": starts.reshape(shapes.audio_starts),
      "landmarks": _floats(feature["landmarks"], NUM_LANDMARKS, 2),
      "box": _floats(feature["box"], 3),
      "time": np.float32(feature["time"].float_list.value[0]),
      "frame": np.int32(feature["frame"].int64_list.value[0]),
      "clip": feature["clip"].bytes_list.value[0].decode(),
      "valid": np.bool_(feature["valid"].int64_list.value[0]),
    }
  except (DecodeError, IndexError, ValueError) as error:
    raise InputError(
      f"a record does not have the fields of schema {SCHEMA_VERSION} "
      f"({error}): the shard is damaged or of another program; run "
      "input_pipeline.prepare again into an empty folder"
    ) from error


def _floats(feature: Any, *shape: int) -> np.ndarray:
  return np.array(feature.float_list.value, np.float32).reshape(shape)


def _checked_crop(png: bytes, shapes: Shapes) -> np.ndarray:
  crop = decode_png(png)
  expected = (shapes.crop_size, shapes.crop_size, 3)
  if crop.shape != expected:
    raise ValueError(f"crop is {crop.shape}, expected {expected}")
  return crop
