import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from made_media import number_of, numbered, write_video

from input_pipeline import video_reader
from input_pipeline.errors import InputError
from input_pipeline.video import FrameReader, index_video

LONG_GOP = {"g": "250", "bf": "3", "sc_threshold": "0"}
SHORT_GOP = {"g": "3", "bf": "2", "sc_threshold": "0"}


def pictures(count, width=64, height=48):
  return [numbered(i, width, height) for i in range(count)]


def read_numbers(path, wanted):
  with FrameReader(index_video(path)) as reader:
    return [number_of(picture) for picture in reader.read(wanted)]


@pytest.fixture
def decoded(monkeypatch):
  """Collects one entry for each picture that is decoded."""
  seen = []
  real = video_reader.decodable_frames

  def counting(container, stream):
    for frame in real(container, stream):
      seen.append(frame.pts)
      yield frame

  monkeypatch.setattr(video_reader, "decodable_frames", counting)
  return seen


@pytest.mark.parametrize(
  ("name", "settings"),
  [
    ("a.mp4", {"options": SHORT_GOP}),
    ("b.mp4", {"options": LONG_GOP}),
    ("a.mkv", {"options": SHORT_GOP}),
    ("a.ts", {"options": SHORT_GOP}),
    ("a.avi", {"codec": "mpeg4", "b_frames": 2}),
    ("h264.avi", {"options": SHORT_GOP}),
    ("a.h264", {"options": SHORT_GOP}),
    ("a.mpg", {"codec": "mpeg2video", "b_frames": 2}),
    ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
    ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
  ],
)
def test_every_order_gives_the_pictures_asked_for(tmp_path, name, settings):
  path = write_video(tmp_path / name, pictures(40), **settings)
  rng = np.random.default_rng(0)
  wanted = [*range(40), *range(39, -1, -1), *rng.integers(0, 40, 25), 7, 7, 0]
  assert read_numbers(path, wanted) == [int(n) for n in wanted]


def test_variable_rate_and_late_start(tmp_path):
  pts = [40, 50, 90, 91, 250, 251, 900, 1000, 1001, 1002]
  path = write_video(
    tmp_path / "a.mp4",
    pictures(10),
    pts=pts,
    time_base=Fraction(1, 1000),
    options=SHORT_GOP,
  )
  assert read_numbers(path, range(9, -1, -1)) == list(range(9, -1, -1))


def test_a_repeated_number_is_decoded_once(tmp_path, decoded):
  path = write_video(tmp_path / "a.mp4", pictures(10), options=SHORT_GOP)
  with FrameReader(index_video(path)) as reader:
    first, second, third = reader.read([4, 4, 4])
    before = len(decoded)
    list(reader.read([4] * 50))
  assert len(decoded) == before
  first[:] = 0
  assert np.array_equal(second, third)
  assert number_of(second) == 4


def test_backwards_costs_a_few_decodes_each(tmp_path, decoded):
  path = write_video(tmp_path / "a.mp4", pictures(200), options=LONG_GOP)
  with FrameReader(index_video(path)) as reader:
    back = reader.read(range(199, -1, -1))
    assert [number_of(picture) for picture in back] == [*range(199, -1, -1)]
  # One by one it would be 200 * 201 / 2; in blocks of 32 it is 8 to 200 each.
  assert len(decoded) < 200 * 201 / 2 / 20


def test_backwards_holds_few_large_pictures(tmp_path, monkeypatch):
  path = write_video(tmp_path / "a.mp4", pictures(40), options=SHORT_GOP)
  monkeypatch.setattr(video_reader, "_BLOCK_BYTES", 4 * 64 * 48 * 3)
  blocks = []
  real = video_reader._falling_blocks

  def spying(numbers, limit):
    for block in real(numbers, limit):
      blocks.append(block)
      yield block

  monkeypatch.setattr(video_reader, "_falling_blocks", spying)
  wanted = [n for n in range(39, -1, -1) for _ in range(2)]
  assert read_numbers(path, wanted) == wanted
  assert max(len(set(block)) for block in blocks) == 4


def test_a_picture_that_does_not_come_is_named(tmp_path):
  path = write_video(tmp_path / "a.mp4", pictures(10), options=SHORT_GOP)
  index = index_video(path)
  lost = dataclasses.replace(
    index, pts=np.insert(index.pts, 6, index.pts[5] + 1)
  )
  with FrameReader(lost) as reader:
    assert number_of(next(reader.read([5]))) == 5
    with pytest.raises(InputError, match=r"picture 6 \(at 0.20 s\)"):
      next(reader.read([6]))
    assert number_of(next(reader.read([7]))) == 6


def test_a_wrong_seek_falls_back_to_decoding_from_the_start(
  tmp_path, monkeypatch
):
  path = write_video(tmp_path / "a.mp4", pictures(40), options=LONG_GOP)
  index = index_video(path)
  with FrameReader(index) as reader:
    list(reader.read([39]))
    # A container whose seek lands late, whatever it is asked for.
    end = int(index.pts[-1])
    misled = dataclasses.replace(index, pts=np.full_like(index.pts, end))
    monkeypatch.setattr(reader, "_index", misled)
    assert number_of(next(reader.read([11]))) == 11


def test_a_seek_that_lands_late_is_tried_again_earlier(tmp_path, decoded):
  # MPEG-TS has no index: its seek lands some pictures late.
  options = {"g": "25", "bf": "2", "sc_threshold": "0"}
  pictures = [numbered(i % 256) for i in range(400)]
  path = write_video(tmp_path / "a.ts", pictures, options=options)
  with FrameReader(index_video(path)) as reader:
    list(reader.read([399]))
    for number in (380, 340, 300):
      before = len(decoded)
      assert number_of(next(reader.read([number]))) == number % 256
      assert len(decoded) - before < 180


def test_numbers_outside_the_video_are_refused(tmp_path):
  path = write_video(tmp_path / "a.mp4", pictures(5))
  with (
    FrameReader(index_video(path)) as reader,
    pytest.raises(IndexError, match="picture 5 of a video with 5"),
  ):
    next(reader.read([5]))


def test_width_that_is_no_multiple_of_16_is_contiguous(tmp_path):
  path = write_video(tmp_path / "a.mp4", pictures(3, 61, 35), pix_fmt="yuv444p")
  with FrameReader(index_video(path)) as reader:
    picture = next(reader.read([2]))
  assert picture.shape == (35, 61, 3)
  assert picture.flags.c_contiguous
  assert number_of(picture) == 2


def test_a_rotated_video_comes_upright(tmp_path):
  sideways = numbered(0b00001111)
  path = write_video(tmp_path / "a.mp4", [sideways] * 3, rotation=90)
  index = index_video(path)
  with FrameReader(index) as reader:
    picture = next(reader.read([1]))
  assert picture.shape == (64, 48, 3)
  # The bright left half is turned by the angle that was asked for.
  upright = np.rot90(sideways, index.rotation // 90)
  assert np.abs(picture.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
  ("codec", "pix_fmt"),
  [
    ("libx264", "yuv420p"),
    ("libx264", "yuv420p10le"),
    ("libx264", "yuvj420p"),
    ("libx265", "yuv420p"),
    ("libsvtav1", "yuv420p"),
  ],
)
def test_colours_survive_decoding(tmp_path, codec, pix_fmt):
  colour = np.array([180, 90, 60], np.uint8)
  picture = np.broadcast_to(colour, (64, 64, 3)).copy()
  options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
  path = write_video(
    tmp_path / "a.mp4",
    [picture] * 3,
    codec=codec,
    pix_fmt=pix_fmt,
    options=options,
  )
  with FrameReader(index_video(path)) as reader:
    decoded = next(reader.read([1]))
  assert np.abs(decoded.astype(int) - colour).max() <= 3
