"""The whole chain, each part the real one: film, train, render, measure.

The network is tiny and hardly trained, so what it draws is poor; everything
around it must be right all the same.
"""

import json
import shutil
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from input_pipeline import dataset, manifest, prepare
from input_pipeline.landmarks import open_landmarker
from input_pipeline.video import FrameReader, index_video
from synctalk_jax import (
  evaluate,
  evaluation,
  infer,
  renderer,
  run_folder,
  train,
)
from synctalk_jax.predictor import Predictor

pytest.importorskip("skimage", reason="the demo speaker's portrait")
pytest.importorskip("espeakng_loader", reason="the demo speaker's voice")

CROP = 88


@pytest.fixture(scope="module")
def speaker(tmp_path_factory, landmark_model):
  from input_pipeline.demo_speaker import make_speaker

  return make_speaker(tmp_path_factory.mktemp("speaker"), 2, 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory, speaker) -> Path:
  folder = tmp_path_factory.mktemp("prepared") / "data"
  prepare.main(
    [
      f"--video={speaker.video}",
      f"--out={folder}",
      f"--crop-size={CROP}",
      "--holdout=2",
      "--workers=1",
    ]
  )
  return folder


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data) -> Path:
  folder = tmp_path_factory.mktemp("trained") / "run"
  code = train.main(
    [
      "train",
      "--config=configs/demo.py",
      f"--workdir={folder}",
      f"--config.data.path={data}",
      f"--config.data.crop_size={CROP}",
      "--config.model.width=4",
      "--config.audio.width=4",
      "--config.train.steps=2",
      "--config.train.batch_size=8",
    ]
  )
  assert code == 0
  return folder


@pytest.fixture(scope="module")
def talking(tmp_path_factory, speaker, data, workdir) -> Path:
  film = tmp_path_factory.mktemp("film") / "talking.mp4"
  code = infer.main(
    [
      f"--workdir={workdir}",
      f"--data={data}",
      f"--audio={speaker.heldout_audio}",
      f"--out={film}",
    ]
  )
  assert code == 0
  return film


def test_film_lasts_as_long_as_its_sound(talking, speaker):
  with wave.open(str(speaker.heldout_audio)) as file:
    seconds = file.getnframes() / file.getframerate()
  with av.open(str(talking)) as container:
    frames = list(container.decode(video=0))
  assert len(frames) == int(np.ceil(seconds * 25 - 1e-9))
  assert [float(frame.time) for frame in frames] == pytest.approx(
    [i / 25 for i in range(len(frames))]
  )
  with av.open(str(talking)) as container:
    sound = sum(f.samples / f.rate for f in container.decode(audio=0))
  # AAC comes in blocks of 1024 samples.
  assert sound == pytest.approx(seconds, abs=1024 / 22_050 + 1e-3)


def test_nothing_but_the_film_is_left(talking):
  assert [path.name for path in talking.parent.iterdir()] == [talking.name]


def test_pixels_outside_the_crop_are_those_of_the_source(
  data, workdir, speaker
):
  run = run_folder.load(workdir)
  track = manifest.load_clip(manifest.load(data))
  speech = renderer.Speech(speaker.heldout_audio, run)
  drawn = renderer.render(Predictor(run, 4), run, track, speech)
  template = renderer.ping_pong(12, track.clip.frames)
  with FrameReader(index_video(track.video)) as reader:
    filmed = list(reader.read(track.source_frame[template]))
  changed = 0
  for shown, before, after in zip(template, filmed, drawn, strict=False):
    x0, y0, side = track.boxes[shown]
    y, x = np.mgrid[: before.shape[0], : before.shape[1]] + 0.5
    inside = (x > x0) & (x < x0 + side) & (y > y0) & (y < y0 + side)
    np.testing.assert_array_equal(after[~inside], before[~inside])
    changed += np.count_nonzero(after != before)
  assert changed


def test_rendering_sees_what_training_saw(data, workdir):
  """Crops and audio windows are the records', bit for bit."""
  loaded = manifest.load(data)
  track = manifest.load_clip(loaded)
  run = run_folder.load(workdir)
  speech = renderer.Speech(track.audio, run)
  assert speech.num_frames == track.clip.frames
  source = dataset.RecordSource(loaded, "train", only_valid=False, verify=False)
  records = [source[position] for position in range(len(source))]
  with FrameReader(index_video(track.video)) as reader:
    frames = list(reader.read(track.source_frame[: len(records)]))
  for record in (records[0], records[7], records[-1]):
    frame = int(record["frame"])
    crop = renderer.crop_face(frames[frame], track.boxes[frame], CROP)
    np.testing.assert_array_equal(crop, record["crop"])
    window, starts = speech.windows([frame])
    np.testing.assert_array_equal(window[0], record["audio"])
    np.testing.assert_array_equal(starts[0], record["audio_starts"])


def test_evaluation_measures_against_the_known_truth(
  tmp_path, data, workdir, speaker
):
  out = tmp_path / "evaluation"
  arguments = [
    f"--workdir={workdir}",
    f"--data={data}",
    f"--out={out}",
    f"--truth={speaker.folder / 'truth.npz'}",
  ]
  assert evaluate.main(arguments) == 0
  facts = json.loads((out / "metrics.json").read_text())
  track = manifest.load_clip(manifest.load(data))
  held_out = track.clip.frames - track.clip.eval_start
  assert facts["schema_version"] == 1
  assert facts["truth"] == "truth.npz"
  assert facts["frames"]["count"] == held_out
  assert 0 < facts["drawn"]["ssim"] < 1
  assert -1 <= facts["drawn"]["opening_correlation"] <= 1
  # The template's mouth is another sentence's.
  assert facts["template"]["mouth_error"] > 0
  index = index_video(out / "side_by_side.mp4")
  assert len(index.pts) == held_out
  page = (out / "report.html").read_text()
  for file in ("side_by_side.mp4", "faces.png", "opening.png"):
    assert file in page
    assert (out / file).stat().st_size > 0
  assert {path.name for path in tmp_path.iterdir()} == {"evaluation"}


class _PerfectNetwork:
  """Draws exactly what was filmed."""

  batch_size = 8
  face_size = CROP - 8

  def draw(self, crop, audio, audio_starts):
    return crop[:, 4:-4, 4:-4]


def test_a_perfect_network_scores_perfectly(
  data, workdir, speaker, landmark_model
):
  run = run_folder.load(workdir)
  track = manifest.load_clip(manifest.load(data))
  frames = evaluation.held_out_frames(track)
  with open_landmarker("litert", landmark_model) as landmarker:
    result = evaluation.evaluate(
      evaluation.compare(_PerfectNetwork(), run, track, frames),
      run,
      track,
      landmarker,
      speaker.folder / "truth.npz",
      lambda comparison: None,
    )
  assert result.drawn.mouth_error == 0
  assert result.drawn.ssim == pytest.approx(1)
  assert result.drawn.opening_correlation > 0.9
  assert result.drawn.opening_lag_frames == 0
  assert result.template.opening_correlation < 0.9
  assert result.template.mouth_error > 1


def _infer_error(capsys, **changes) -> str:
  """Runs infer with bad input; returns its one line."""
  arguments = [f"--{key}={value}" for key, value in changes.items()]
  capsys.readouterr()
  assert infer.main(arguments) == 2
  lines = capsys.readouterr().err.strip().splitlines()
  assert len(lines) == 1, lines
  assert not Path(changes["out"]).exists()
  return lines[0]


@pytest.fixture
def good(tmp_path, data, workdir, speaker):
  return {
    "workdir": workdir,
    "data": data,
    "audio": speaker.heldout_audio,
    "out": tmp_path / "out.mp4",
  }


def _write_wav(path: Path, samples: int) -> Path:
  with wave.open(str(path), "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16_000)
    file.writeframes(bytes(2 * samples))
  return path


def test_audio_shorter_than_a_frame_is_refused(tmp_path, capsys, good):
  short = _write_wav(tmp_path / "short.wav", 639)
  error = _infer_error(capsys, **good | {"audio": short})
  assert "40 ms of sound, less than a video frame (40 ms)" in error


def test_one_frame_of_audio_is_rendered(tmp_path, good):
  brief = _write_wav(tmp_path / "brief.wav", 640)
  arguments = good | {"audio": brief}
  assert infer.main([f"--{k}={v}" for k, v in arguments.items()]) == 0
  assert len(_decoded(good["out"])) == 1


def _decoded(path: Path) -> list:
  with av.open(str(path)) as container:
    return list(container.decode(video=0))


def test_missing_and_unreadable_audio_are_refused(tmp_path, capsys, good):
  error = _infer_error(capsys, **good | {"audio": tmp_path / "none.wav"})
  assert "none.wav" in error
  text = tmp_path / "text.wav"
  text.write_text("not a sound")
  assert "text.wav" in _infer_error(capsys, **good | {"audio": text})


def test_an_existing_film_is_kept_unless_told(tmp_path, capsys, good):
  good["out"].write_bytes(b"precious")
  assert infer.main([f"--{k}={v}" for k, v in good.items()]) == 2
  assert "--overwrite" in capsys.readouterr().err
  assert good["out"].read_bytes() == b"precious"


def test_a_checkpoint_of_another_encoder_is_refused(
  tmp_path, capsys, good, workdir
):
  other = tmp_path / "other"
  shutil.copytree(workdir, other)
  facts = json.loads((other / "run.json").read_text())
  facts["network"]["audio"]["encoder"] = "hubert"
  (other / "run.json").write_text(json.dumps(facts))
  error = _infer_error(capsys, **good | {"workdir": other})
  assert "audio encoder 'hubert'" in error
  assert "'ave'" in error


def test_data_of_another_schema_are_refused(tmp_path, capsys, good, data):
  other = tmp_path / "other"
  other.mkdir()
  facts = json.loads((data / "manifest.json").read_text())
  facts["schema_version"] = 99
  (other / "manifest.json").write_text(json.dumps(facts))
  assert "schema version 99" in _infer_error(capsys, **good | {"data": other})


def test_a_run_without_checkpoint_is_refused(tmp_path, capsys, good, workdir):
  other = tmp_path / "other"
  other.mkdir()
  shutil.copy(workdir / "run.json", other)
  error = _infer_error(capsys, **good | {"workdir": other})
  assert "has no checkpoint yet" in error


def test_truth_of_another_length_is_refused(tmp_path, capsys, data, workdir):
  truth = tmp_path / "truth.npz"
  np.savez(truth, opening=np.zeros(5))
  out = tmp_path / "evaluation"
  code = evaluate.main(
    [
      f"--workdir={workdir}",
      f"--data={data}",
      f"--truth={truth}",
      f"--out={out}",
    ]
  )
  assert code == 2
  assert "'opening' is [5]" in capsys.readouterr().err
  assert not out.exists()
