import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest
from made_media import (
  chirp,
  numbered,
  top_level_boxes,
  write_sound,
  write_video,
)

from input_pipeline.errors import InputError
from input_pipeline.video import index_video, source_frames

B_FRAMES = {"g": "6", "bf": "2", "sc_threshold": "0"}


def pictures(count, width=64, height=48):
  return [numbered(i, width, height) for i in range(count)]


@pytest.fixture
def clip(tmp_path):
  return write_video(tmp_path / "clip.mp4", pictures(20), options=B_FRAMES)


def timed(index, pts, start=Fraction(0), last=1, base=Fraction(1, 1000)):
  """An index with other timestamps, in milliseconds."""
  duration = (pts[-1] + last) * base - start
  return dataclasses.replace(
    index,
    pts=np.array(pts, np.int64),
    time_base=base,
    start_time=start,
    duration=duration,
  )


def test_index_holds_what_the_file_holds(tmp_path):
  path = write_video(
    tmp_path / "a.mov", pictures(20), options=B_FRAMES, sound=chirp(0.8)
  )
  index = index_video(path)
  times = index.pts * index.time_base - index.start_time
  assert times.tolist() == [Fraction(i, 25) for i in range(20)]
  assert index.duration == Fraction(20, 25)
  assert np.flatnonzero(index.keyframes).tolist() == [0, 6, 12, 18]
  assert (index.width, index.height, index.rotation) == (64, 48, 0)
  assert (index.codec, index.pix_fmt) == ("h264", "yuv420p")
  assert index.average_rate == 25
  assert index.has_audio
  assert index.seekable


def test_rotation_swaps_the_sides(tmp_path):
  path = write_video(tmp_path / "a.mp4", pictures(3), rotation=90)
  index = index_video(path)
  assert (index.width, index.height) == (48, 64)
  assert index.rotation in (90, 270)


def test_pictures_hidden_by_an_edit_list_do_not_count(tmp_path, clip):
  cut = tmp_path / "cut.mp4"
  with av.open(str(clip)) as source, av.open(str(cut), "w") as target:
    stream = source.streams.video[0]
    copy = target.add_stream_from_template(stream)
    for packet in source.demux(stream):
      if packet.dts is not None:
        packet.pts -= 4 * 512
        packet.dts -= 4 * 512
        packet.stream = copy
        target.mux(packet)
  assert len(index_video(cut).pts) == 16


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda folder: folder / "none.mp4", "no such file"),
    (lambda folder: folder, "not a file"),
    (lambda folder: filled(folder, b""), "is empty"),
    (lambda folder: filled(folder, b"hello, I am text\n" * 99), "not a video"),
    (lambda folder: filled(folder, b"ffconcat version 1.0\n"), "not a video"),
    (
      lambda folder: write_sound(folder / "a.wav", chirp(0.2)),
      "no video track",
    ),
    (lambda folder: write_video(folder / "a.mp4", pictures(1)), "at least 2"),
    (
      lambda folder: write_video(
        folder / "a.mp4", pictures(2, 8208, 16), options={"preset": "fast"}
      ),
      "8208x16",
    ),
  ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path, make, message):
  with pytest.raises(InputError, match=message) as caught:
    index_video(make(tmp_path))
  assert "\n" not in str(caught.value)


def filled(folder, content):
  path = folder / "a.mp4"
  path.write_bytes(content)
  return path


def test_a_recording_without_its_index_is_refused(tmp_path, clip):
  assert top_level_boxes(clip)[-1] == b"moov"
  with pytest.raises(InputError, match="cut off"):
    index_video(filled(tmp_path, clip.read_bytes()[:-400]))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_half_copied_file_is_refused(tmp_path, share):
  path = write_video(
    tmp_path / "front.mp4",
    pictures(50),
    options=B_FRAMES,
    container_options={"movflags": "+faststart"},
  )
  content = path.read_bytes()
  with pytest.raises(InputError, match=r"cut off or damaged \(\d+ of 50 pack"):
    index_video(filled(tmp_path, content[: int(len(content) * share)]))


def test_a_half_copied_matroska_file_is_refused(tmp_path):
  path = write_video(tmp_path / "a.mkv", pictures(100), options=B_FRAMES)
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  with pytest.raises(InputError, match=r"of 4\.0 seconds are there"):
    index_video(path)


def test_a_file_of_absurd_length_is_refused(tmp_path):
  path = write_video(
    tmp_path / "a.mkv",
    pictures(2),
    pts=[0, 10**8],
    time_base=Fraction(1, 1000),
  )
  with pytest.raises(InputError, match="hours by its timestamps"):
    index_video(path)


def test_untagged_colour_is_what_players_assume(tmp_path):
  small = write_video(tmp_path / "s.mp4", pictures(2))
  large = write_video(tmp_path / "l.mp4", pictures(2, 1280, 16))
  assert index_video(small).colorspace == 6
  assert index_video(large).colorspace == 1


def test_equal_rate_maps_each_frame_to_itself(clip):
  assert source_frames(index_video(clip), 25).tolist() == list(range(20))


def test_20_fps_drops_every_fifth(clip):
  # Output k shows the last picture with floor(i * 20 / 25 + 1/2) <= k.
  expected = [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19]
  assert source_frames(index_video(clip), 20).tolist() == expected


def test_variable_rate_by_hand(clip):
  # In output frames of 40 ms the times are 0, 0.25, 0.5, 2.475, 2.5, 6; the
  # last one ends at 8.5.
  index = timed(index_video(clip), [0, 10, 20, 99, 100, 240], last=100)
  assert source_frames(index, 25).tolist() == [1, 2, 3, 4, 4, 4, 5, 5, 5]


def test_first_picture_fills_the_time_before_it(clip):
  index = timed(index_video(clip), [1100, 1140], start=Fraction(1), last=40)
  assert source_frames(index, 25).tolist() == [0, 0, 0, 0, 1]


def test_a_tie_is_decided_exactly(clip):
  # 1.02 s is 25.5 output frames in fractions, 25.499... in floats of 1/50.
  base = Fraction(1, 50)
  index = timed(index_video(clip), [0, 51], last=1, base=base)
  assert source_frames(index, 25).tolist() == [0] * 26


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_ffmpegs_fps_filter(clip, seed):
  rng = np.random.default_rng(seed)
  steps = rng.integers(1, 90, size=60)
  steps[0] = 0
  pts = np.cumsum(steps).tolist()
  graph = av.filter.Graph()
  source = graph.add_buffer(
    width=16, height=16, format="gray", time_base=Fraction(1, 1000)
  )
  fps = graph.add("fps", "fps=25:start_time=0")
  sink = graph.add("buffersink")
  source.link_to(fps)
  fps.link_to(sink)
  graph.configure()
  for number, time in enumerate(pts):
    picture = np.full((16, 16), number, np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, "gray")
    frame.pts, frame.time_base = time, Fraction(1, 1000)
    graph.push(frame)
  shown = []
  graph.push(None)
  while True:
    try:
      shown.append(int(graph.pull().to_ndarray()[0, 0]))
    except (av.BlockingIOError, av.EOFError):
      break
  ours = source_frames(timed(index_video(clip), pts), 25).tolist()
  shared = min(len(shown), len(ours))
  assert abs(len(shown) - len(ours)) <= 1
  assert ours[:shared] == shown[:shared]
