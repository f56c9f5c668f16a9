import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from made_media import chirp, lag, numbered, write_sound, write_video

from input_pipeline.errors import InputError
from input_pipeline.video import index_video, read_audio, source_frames

RATE = 16000


def filmed(folder, sound, start, pts=None):
  """A video of 1 s whose sound starts at a sample number."""
  return write_video(
    folder / "a.mov",
    [numbered(i) for i in range(25)],
    sound=sound,
    sound_start=start,
    pts=pts,
  )


def test_pcm_at_the_same_rate_is_untouched(tmp_path):
  sound = chirp(0.7)
  read = read_audio(write_sound(tmp_path / "a.wav", sound))
  assert read.dtype == np.int16
  assert np.array_equal(read, sound)


def test_late_sound_is_preceded_by_zeros(tmp_path):
  sound = chirp(0.5) + np.int16(1000)
  read = read_audio(filmed(tmp_path, sound, 2816))
  assert np.array_equal(read[:2816], np.zeros(2816, np.int16))
  assert np.array_equal(read[2816:], sound)


def test_sound_before_the_pictures_moves_time_zero(tmp_path):
  # Sound at 0, first picture at 0.2 s: five output frames show it early.
  sound = chirp(0.5)
  path = filmed(tmp_path, sound, 0, pts=[i + 5 for i in range(25)])
  assert np.array_equal(read_audio(path), sound)
  assert source_frames(index_video(path), 25).tolist()[:8] == [
    *[0] * 6,
    1,
    2,
  ]


def test_stereo_keeps_its_level(tmp_path):
  sound = chirp(0.5)
  both = np.stack([sound, sound], axis=1)
  read = read_audio(write_sound(tmp_path / "a.wav", both, layout="stereo"))
  assert np.abs(read.astype(int) - sound).max() <= 1


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_resampling_keeps_place_and_length(tmp_path, rate):
  path = write_sound(tmp_path / "a.wav", chirp(1, rate), rate=rate)
  read = read_audio(path)
  assert abs(len(read) - RATE) <= 1
  assert lag(chirp(1), read) == 0


@pytest.mark.parametrize(
  ("name", "codec", "rate"),
  [
    ("a.mp3", "libmp3lame", 44100),
    ("a.m4a", "aac", 44100),
    ("a.m4a", "alac", 44100),
    ("a.flac", "flac", 48000),
    ("a.ogg", "libopus", 48000),
    ("a.mka", "aac", 48000),
  ],
)
def test_every_codec_starts_at_time_zero(tmp_path, name, codec, rate):
  sound = chirp(2, rate)
  path = write_sound(tmp_path / name, sound, codec=codec, rate=rate)
  read = read_audio(path)
  assert abs(lag(chirp(2), read)) <= 1
  assert abs(len(read) - 2 * RATE) <= RATE * 0.05


def test_float_wav_that_is_no_number_is_refused(tmp_path):
  sound = np.zeros(4000, np.float32)
  sound[1234] = np.nan
  path = write_sound(tmp_path / "a.wav", sound, codec="pcm_f32le")
  with pytest.raises(InputError, match="not numbers"):
    read_audio(path)


def test_a_hole_in_the_middle_is_silence(tmp_path):
  sound = chirp(1)
  whole = write_sound(tmp_path / "a.flac", sound, codec="flac")
  holed = tmp_path / "holed.mka"
  with av.open(str(whole)) as source, av.open(str(holed), "w") as target:
    stream = source.streams.audio[0]
    copy = target.add_stream_from_template(stream)
    lost = None
    for packet in source.demux(stream):
      if packet.dts is None:
        continue
      if packet.pts > 0 and lost is None:
        lost = slice(packet.pts, packet.pts + packet.duration)
        continue
      packet.stream = copy
      target.mux(packet)
  read = read_audio(holed)
  assert lost.stop - lost.start > 0.05 * RATE
  # Matroska counts milliseconds, which is 16 samples.
  assert not read[lost.start + 16 : lost.stop - 16].any()
  assert abs(lag(sound[lost.stop :], read[lost.stop :])) <= 16
  assert abs(len(read) - len(sound)) <= 16


def test_sound_before_time_zero_and_overlaps_are_cut_off(tmp_path, monkeypatch):
  ramp = np.arange(4000, dtype=np.int16)[:, None]

  def segments(path, container, stream, rate, layout):
    yield Fraction(-1, 16), ramp[:2000]
    yield None, ramp[2000:3000]
    yield Fraction(1, 16), ramp[2000:]

  monkeypatch.setattr("input_pipeline.audio_track._segments", segments)
  read = read_audio(write_sound(tmp_path / "a.wav", chirp(0.1)))
  # 1000 samples are 1/16 s: the second segment repeats from 1000 on.
  assert read.tolist() == list(range(1000, 4000))


def empty_wav(path):
  with wave.open(str(path), "wb") as file:
    file.setparams((1, 2, RATE, 0, "NONE", "none"))
  return path


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda folder: folder / "none.wav", "no such file"),
    (
      lambda folder: write_video(folder / "a.mp4", [numbered(0)] * 3),
      "has no audio track",
    ),
    (lambda folder: empty_wav(folder / "a.wav"), "is empty"),
  ],
)
def test_what_has_no_sound_is_refused(tmp_path, make, message):
  with pytest.raises(InputError, match=message):
    read_audio(make(tmp_path))


def test_too_long_a_recording_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr("input_pipeline.audio_track.MAX_HOURS", 0.5 / 3600)
  path = write_sound(tmp_path / "a.wav", chirp(1))
  with pytest.raises(InputError, match="cut it first"):
    read_audio(path)
