"""The clip, its truth, and that a landmarker agrees with the truth."""

import dataclasses
import json
import wave

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")
pytest.importorskip("skimage")

from input_pipeline import demo_speaker
from input_pipeline.demo_script import record_track
from input_pipeline.demo_speaker import FPS, main, make_speaker
from input_pipeline.errors import InputError, run_command
from input_pipeline.landmarks import open_landmarker
from input_pipeline.video import FrameReader, index_video, read_audio

SECONDS = (2.0, 2.0)
FILES = ["heldout.wav", "speaker.json", "speaker.mp4", "truth.npz"]


@pytest.fixture(scope="module")
def speaker(tmp_path_factory):
  return make_speaker(tmp_path_factory.mktemp("demo") / "speaker", *SECONDS)


def test_nothing_but_the_four_files_is_left(speaker):
  assert sorted(path.name for path in speaker.folder.iterdir()) == FILES


def test_heldout_wav_is_the_end_of_the_track_to_the_sample(speaker):
  track = record_track(*SECONDS, FPS)
  first = track.heldout_start_frame * track.rate // FPS
  with wave.open(str(speaker.heldout_audio)) as file:
    assert file.getframerate() == track.rate
    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
  np.testing.assert_array_equal(samples, track.samples[first:])


def test_video_is_25_fps_of_512_with_its_sound_in_place(speaker):
  index = index_video(speaker.video)
  assert (index.width, index.height) == (512, 512)
  assert len(index.pts) == speaker.frame_count
  assert index.average_rate == FPS
  track = record_track(*SECONDS, FPS)
  heard = read_audio(speaker.video, track.rate).astype(float)
  assert len(heard) >= len(track.samples)
  middle = slice(20000, 40000)
  spoken = track.samples[middle].astype(float)
  fit = [spoken @ heard[20000 + lag : 40000 + lag] for lag in range(-40, 41)]
  assert np.argmax(fit) == 40


def test_truth_agrees_with_itself(speaker):
  truth = speaker.load_truth()
  for field in dataclasses.fields(truth):
    if field.name != "face_height":
      assert len(getattr(truth, field.name)) == speaker.frame_count
  upper, lower, left, right = np.moveaxis(truth.mouth_points, 1, 0)
  size = truth.face_height * truth.head_scale
  gap = np.linalg.norm(lower - upper, axis=-1)
  width = np.linalg.norm(right - left, axis=-1)
  np.testing.assert_allclose(gap / size, truth.opening, atol=1e-5)
  np.testing.assert_allclose(width / size, truth.width, atol=1e-5)
  np.testing.assert_allclose(np.diff(truth.time), 1 / FPS)
  assert not truth.opening[:10].any()
  assert truth.opening.max() > 0.05


def test_facts_explain_every_array_and_name_every_sentence(speaker):
  facts = json.loads((speaker.folder / "speaker.json").read_text("utf-8"))
  fields = {field.name for field in dataclasses.fields(speaker.load_truth())}
  assert set(facts["truth_units"]) == fields
  assert facts["heldout_start_seconds"] == speaker.heldout_start_seconds
  assert [entry["held_out"] for entry in facts["sentences"]] == [False, True]


def test_a_finished_clip_is_not_made_again(speaker, monkeypatch):
  before = speaker.video.stat().st_mtime_ns
  monkeypatch.setattr(demo_speaker, "TalkingFace", None)
  assert make_speaker(speaker.folder, *SECONDS) == speaker
  assert speaker.video.stat().st_mtime_ns == before


def test_other_settings_or_an_older_version_are_made_anew(speaker, monkeypatch):
  class MadeAnewError(Exception):
    pass

  def render():
    raise MadeAnewError

  monkeypatch.setattr(demo_speaker, "TalkingFace", render)
  with pytest.raises(MadeAnewError):
    make_speaker(speaker.folder, 5.0, 2.0)
  monkeypatch.setattr(demo_speaker, "_VERSION", 0)
  with pytest.raises(MadeAnewError):
    make_speaker(speaker.folder, *SECONDS)


def test_an_interrupted_clip_is_not_taken_for_a_finished_one(
  tmp_path, monkeypatch
):
  class StoppedError(Exception):
    pass

  def stop(*pose):
    raise StoppedError

  monkeypatch.setattr(demo_speaker.TalkingFace, "render", stop)
  (tmp_path / "speaker.json").write_text("{}")
  with pytest.raises(StoppedError):
    make_speaker(tmp_path, *SECONDS)
  assert list(tmp_path.iterdir()) == []


def test_a_file_as_folder_is_one_line_and_exit_code_2(tmp_path, capsys):
  path = tmp_path / "taken"
  path.write_text("x")
  assert run_command(lambda: main(["--out", str(path)])) == 2
  error = capsys.readouterr().err
  assert error.count("\n") == 1
  assert "--out" in error
  with pytest.raises(InputError):
    make_speaker(path)


def test_help_teaches(capsys):
  with pytest.raises(SystemExit) as stop:
    main(["--help"])
  assert stop.value.code == 0
  text = capsys.readouterr().out
  for word in (*FILES, "--training-seconds", "--heldout-seconds", "espeak-ng"):
    assert word in text


def test_a_landmarker_measures_the_opening_of_the_truth(
  speaker, landmark_model
):
  """Inner lips 13 to 14 over forehead 10 to chin 152 of MediaPipe's mesh."""
  index = index_video(speaker.video)
  measured = []
  with (
    open_landmarker("litert", landmark_model) as landmarker,
    FrameReader(index) as reader,
  ):
    for frame in reader.read(range(speaker.frame_count)):
      points = landmarker.faces(frame)[0, :, :2]
      gap = np.linalg.norm(points[13] - points[14])
      measured.append(gap / np.linalg.norm(points[10] - points[152]))
  opening = speaker.load_truth().opening[2:-2]
  fits = [
    np.corrcoef(measured[2 + lag : len(measured) - 2 + lag], opening)[0, 1]
    for lag in (-2, -1, 0, 1, 2)
  ]
  assert np.argmax(fits) == 2
  assert fits[2] >= 0.97
