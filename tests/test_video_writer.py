import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest
from made_media import (
  chirp,
  lag,
  number_of,
  numbered,
  top_level_boxes,
  write_sound,
  write_video,
)

from input_pipeline.errors import InputError
from input_pipeline.video import (
  FrameReader,
  VideoWriter,
  index_video,
  read_audio,
)


def write(path, count=10, width=64, height=48, fps=25, **settings):
  with VideoWriter(path, width, height, fps, **settings) as writer:
    for i in range(count):
      writer.write(numbered(i, width, height))
  return path


@pytest.mark.parametrize("fps", [25, Fraction(30000, 1001), Fraction(50)])
def test_each_picture_has_its_exact_time(tmp_path, fps):
  path = write(tmp_path / "out.mp4", fps=fps)
  index = index_video(path)
  times = index.pts * index.time_base - index.start_time
  assert times.tolist() == [i / Fraction(fps) for i in range(10)]
  assert index.duration == 10 / Fraction(fps)
  with FrameReader(index) as reader:
    assert [number_of(p) for p in reader.read(range(10))] == list(range(10))


def test_the_file_is_ready_for_the_web(tmp_path):
  path = write(tmp_path / "out.mp4")
  boxes = top_level_boxes(path)
  assert boxes.index(b"moov") < boxes.index(b"mdat")
  index = index_video(path)
  assert (index.codec, index.pix_fmt) == ("h264", "yuv420p")
  tags = (index.colorspace, index.color_primaries, index.color_trc)
  assert tags == (1, 1, 1)
  assert index.color_range == 1


def test_the_sources_tags_and_pixel_shape_are_kept(tmp_path):
  source = dataclasses.replace(
    index_video(write(tmp_path / "source.mp4")),
    colorspace=6,
    color_primaries=5,
    color_trc=6,
    pixel_aspect=Fraction(4, 3),
  )
  index = index_video(write(tmp_path / "out.mp4", source=source))
  assert index.colorspace == 6
  assert (index.color_primaries, index.color_trc) == (5, 6)
  assert index.pixel_aspect == Fraction(4, 3)


@pytest.mark.parametrize("colorspace", [1, 6, 9])
def test_colours_are_not_shifted(tmp_path, colorspace):
  source = dataclasses.replace(
    index_video(write(tmp_path / "source.mp4")), colorspace=colorspace
  )
  rng = np.random.default_rng(0)
  colours = rng.integers(40, 216, (6, 8, 3)).astype(np.uint8)
  picture = np.kron(colours, np.ones((8, 8, 1), np.uint8))
  path = tmp_path / "out.mp4"
  with VideoWriter(path, 64, 48, 25, crf=4, source=source) as writer:
    for _ in range(3):
      writer.write(picture)
  with FrameReader(index_video(path)) as reader:
    decoded = next(reader.read([1]))
  inner = np.s_[4::8, 4::8]
  difference = decoded[inner].astype(float) - picture[inner]
  assert np.abs(difference.mean(axis=(0, 1))).max() < 0.7
  assert np.abs(difference).max() < 8


def test_odd_sides_are_extended(tmp_path):
  path = write(tmp_path / "out.mp4", width=63, height=47)
  index = index_video(path)
  assert (index.width, index.height) == (64, 48)
  with FrameReader(index) as reader:
    picture = next(reader.read([3]))
  assert np.abs(picture[:47, :63].astype(int) - numbered(3, 63, 47)).max() < 12
  assert np.abs(picture[47].astype(int) - picture[46]).max() < 12


@pytest.mark.parametrize(
  ("name", "codec"),
  [
    ("a.m4a", "aac"),
    ("a.m4a", "alac"),
    ("a.mp3", "libmp3lame"),
    ("a.mka", "ac3"),
  ],
)
def test_sound_that_mp4_holds_is_copied(tmp_path, name, codec):
  audio = write_sound(tmp_path / name, chirp(1, 44100), codec=codec, rate=44100)
  path = write(tmp_path / "out.mp4", count=25, audio=audio)
  with av.open(str(path)) as container, av.open(str(audio)) as source:
    before, after = source.streams.audio[0], container.streams.audio[0]
    originals = [bytes(p) for p in source.demux(before) if p.size]
    copies = [bytes(p) for p in container.demux(after) if p.size]
  assert copies == originals
  # Matroska counts milliseconds, which is 16 samples.
  assert abs(lag(read_audio(audio), read_audio(path))) <= 8


def test_copied_sound_of_a_film_decodes_to_the_same_samples(tmp_path):
  film = write(tmp_path / "film.mp4", count=50, audio=(chirp(2), 16000))
  again = write(tmp_path / "again.mp4", count=50, audio=film)
  assert np.array_equal(read_audio(film), read_audio(again))


def test_late_sound_stays_late(tmp_path):
  film = write_video(
    tmp_path / "film.mov",
    [numbered(i) for i in range(25)],
    sound=chirp(0.5),
    sound_start=4000,
  )
  again = read_audio(write(tmp_path / "again.mp4", count=25, audio=film))
  assert abs(lag(read_audio(film), again)) <= 1
  assert not again[:3000].any()


@pytest.mark.parametrize("rate", [16000, 22050, 50000])
def test_samples_are_encoded_whole_and_in_place(tmp_path, rate):
  path = write(tmp_path / "out.mp4", count=25, audio=(chirp(1.5, rate), rate))
  read = read_audio(path)
  assert abs(lag(chirp(1.5), read)) <= 1
  # All of it, also what lies beyond the last picture; AAC adds a part block.
  assert 24000 - 2 <= len(read) <= 24000 + 1024 * 16000 // min(rate, 48000) + 2


def test_wav_keeps_rate_and_channels(tmp_path):
  both = np.stack([chirp(1, 44100)] * 2, axis=1)
  audio = write_sound(tmp_path / "a.wav", both, rate=44100, layout="stereo")
  with av.open(str(write(tmp_path / "out.mp4", audio=audio))) as container:
    context = container.streams.audio[0].codec_context
    assert context.name == "aac"
    assert (context.sample_rate, context.layout.name) == (44100, "stereo")


def test_an_exception_leaves_the_old_file_alone(tmp_path):
  path = tmp_path / "out.mp4"
  path.write_bytes(b"old")
  with pytest.raises(ValueError, match="picture of"):
    write_wrong_second_picture(path)
  assert path.read_bytes() == b"old"
  assert list(tmp_path.iterdir()) == [path]


def write_wrong_second_picture(path):
  with VideoWriter(path, 64, 48, 25, audio=(chirp(1), 16000)) as writer:
    writer.write(numbered(0))
    writer.write(numbered(1, 60, 48))


def test_nothing_appears_before_the_end(tmp_path):
  path = tmp_path / "out.mp4"
  with VideoWriter(path, 64, 48, 25) as writer:
    writer.write(numbered(0))
    assert not path.exists()
  assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"path": "none/out.mp4"}, "none does not exist"),
    ({"count": 0}, "no picture to write"),
    ({"audio": "text.txt"}, "not a video or audio file"),
    ({"audio": "silent.mp4"}, "has no audio track"),
  ],
)
def test_bad_input_leaves_no_file(tmp_path, settings, message):
  (tmp_path / "text.txt").write_text("hello")
  write(tmp_path / "silent.mp4")
  before = sorted(tmp_path.iterdir())
  settings = dict(settings)
  path = tmp_path / settings.pop("path", "out.mp4")
  if "audio" in settings:
    settings["audio"] = tmp_path / settings["audio"]
  with pytest.raises(InputError, match=message):
    write(path, **settings)
  assert sorted(tmp_path.iterdir()) == before


def test_a_picture_of_another_size_is_refused(tmp_path):
  with (
    pytest.raises(ValueError, match=r"\(48, 63, 3\)"),
    VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer,
  ):
    writer.write(numbered(0, 63, 48))
