"""`prepare` from video to finished folder, interrupted, and on bad input."""

import json
import os
import re
import select
import subprocess
import sys
import wave
from pathlib import Path

import made_media
import numpy as np
import pytest

from input_pipeline import dataset, manifest, prepare, schema, video
from input_pipeline.errors import InputError, run_command
from input_pipeline.prepare_tasks import measure_crop
from input_pipeline.shards import ShardReader, check_shards
from input_pipeline.work_folder import check_usable
from input_pipeline.workers import WorkerLostError, Workers

FRAMES = 150
SIZE = 224


def shift(frame: int) -> tuple[int, int]:
  """How far the face has wandered, in pixels."""
  return round(8 * np.sin(frame / 9)), round(5 * np.cos(frame / 7))


def film(path: Path, *, audio: np.ndarray | None) -> Path:
  """A public-domain portrait that wanders about, and a sine tone."""
  data = pytest.importorskip("skimage.data")
  portrait = data.astronaut()
  with video.VideoWriter(
    path,
    SIZE,
    SIZE,
    25,
    preset="ultrafast",
    audio=None if audio is None else (audio, 16_000),
  ) as writer:
    for frame in range(FRAMES):
      dx, dy = shift(frame)
      left, top = 110 - dx, 12 - dy
      writer.write(portrait[top : top + SIZE, left : left + SIZE])
  return path


def tone(seconds: float) -> np.ndarray:
  time = np.arange(round(seconds * 16_000)) / 16_000
  return (9_000 * np.sin(2 * np.pi * 220 * time)).astype(np.int16)


def face_points(frames: int = FRAMES) -> np.ndarray:
  """[frames, 478, 2] float32: an oval of points that wanders likewise."""
  rng = np.random.default_rng(6)
  oval = rng.uniform(-1, 1, (478, 2)) * [45, 60]
  oval[[195, 5]] = [0, 2]
  moves = np.array([shift(frame) for frame in range(frames)])
  return (oval[None] + [112, 100] + moves[:, None]).astype(np.float32)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
  """A folder with clip.mp4 and its points.npz, four frames without a face."""
  folder = tmp_path_factory.mktemp("inputs")
  film(folder / "clip.mp4", audio=tone(FRAMES / 25))
  points = face_points()
  points[60:64] = np.nan
  np.savez(folder / "points.npz", landmarks=points)
  return folder


def arguments(inputs: Path, out: Path, *extra: str) -> list[str]:
  return [
    f"--video={inputs / 'clip.mp4'}",
    f"--landmarks={inputs / 'points.npz'}",
    f"--out={out}",
    "--crop-size=64",
    *extra,
  ]


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
  """The same clip prepared, in two processes."""
  out = tmp_path_factory.mktemp("finished") / "data"
  prepare.main(arguments(inputs, out, "--workers=2"))
  return manifest.load(out)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
  return {
    str(path): (path.stat().st_mtime_ns, path.read_bytes())
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def digests(folder: Path) -> list[str]:
  splits = manifest.load(folder).splits
  return [shard.sha256 for split in schema.SPLITS for shard in splits[split]]


def test_manifest_tells_what_was_made(finished):
  (clip,) = finished.clips
  assert clip.id == "clip"
  assert (clip.width, clip.height, clip.frames) == (SIZE, SIZE, FRAMES)
  assert (clip.face_frames, clip.usable_frames) == (FRAMES - 4, FRAMES)
  assert clip.duration_seconds == 6.0
  # A tenth of the clip is held out; AVE looks ten frames ahead.
  assert (clip.train_end, clip.eval_start) == (125, 135)
  assert finished.num_records("train") == 125
  assert finished.num_records("eval") == 15
  assert [shard.records for shard in finished.splits["train"]] == [125]
  assert finished.shapes == schema.Shapes(64, 64, 80, 16)
  for shards in finished.splits.values():
    check_shards(finished.shard_folder, shards, digests=True)
  assert not (finished.folder / manifest.PROGRESS_NAME).exists()


def test_records_hold_the_crop_at_the_face(finished):
  track = manifest.load_clip(finished)
  with video.FrameReader(video.index_video(track.video)) as reader:
    pictures = list(reader.read(track.source_frame[[0, 120]]))
  source = dataset.RecordSource(
    finished, "train", only_valid=False, verify=False
  )
  for frame, picture in zip((0, 120), pictures, strict=True):
    record = source[frame]
    assert record["frame"] == frame
    assert record["time"] == np.float32(frame / 25)
    x0, y0, width = record["box"]
    np.testing.assert_allclose(record["box"], track.boxes[frame], rtol=1e-6)
    # The middle of the crop shows the middle of the box.
    x, y = int(x0 + width / 2), int(y0 + width / 2)
    there = picture[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1))
    here = record["crop"][31:33, 31:33].mean((0, 1))
    np.testing.assert_allclose(here, there, atol=6)
    expected = (track.landmarks[frame] - [x0, y0]) * 64 / width
    np.testing.assert_allclose(record["landmarks"], expected, atol=1e-3)


def test_only_frames_with_their_own_face_are_valid(finished):
  index = manifest.load_index(finished, "train")
  assert index.frame[~index.valid].tolist() == [60, 61, 62, 63]
  source = dataset.RecordSource(
    finished, "train", only_valid=True, verify=False
  )
  assert len(source) == 121
  assert [int(source[i]["frame"]) for i in (59, 60)] == [59, 64]
  everything = dataset.RecordSource(
    finished, "train", only_valid=False, verify=False
  )
  gap = everything[61]
  assert not gap["valid"]
  assert np.isnan(gap["landmarks"]).all()


def test_clip_is_stored_whole(finished, inputs):
  track = manifest.load_clip(finished, "clip")
  assert track.video.read_bytes() == (inputs / "clip.mp4").read_bytes()
  with wave.open(str(track.audio)) as sound:
    assert sound.getparams()[:4] == (1, 2, 16_000, FRAMES * 640)
  # A mel frame at each end: they are centred on multiples of the hop.
  assert track.features.shape == (FRAMES * 80 // 25 + 1, 80)
  assert track.source_frame.tolist() == list(range(FRAMES))
  assert track.found.sum() == FRAMES - 4


def test_training_batches_come_from_the_folder(finished):
  batch = next(iter(dataset.train_dataset(finished, 16, seed=0)))
  assert batch["crop"].shape == (16, 64, 64, 3)
  assert batch["audio"].shape == (16, 64, 80)
  assert batch["valid"].all()


def test_report_shows_pictures_and_findings(finished):
  html = (finished.folder / "report.html").read_text()
  for source in re.findall(r'src="([^"]+)"', html):
    assert (finished.folder / source).stat().st_size > 0
  assert html.count("<img") == html.count('alt="') == 4
  assert "clip.mp4" in html
  for finding in finished.footage:
    assert finding["name"] in html
  assert "http" not in html


def test_format_and_processes_do_not_change_the_records(
  finished, inputs, tmp_path
):
  out = tmp_path / "data"
  prepare.main(arguments(inputs, out, "--workers=1", "--format=tfrecord"))
  other = manifest.load(out)
  for split in schema.SPLITS:
    first, second = (
      ShardReader(data.shard_folder, data.splits[split], data.shard_format)
      for data in (finished, other)
    )
    assert len(first) == len(second)
    assert all(first[i] == second[i] for i in range(len(first)))


def test_finished_folder_is_left_alone(finished, inputs, capsys):
  before = snapshot(finished.folder)
  prepare.main(arguments(inputs, finished.folder))
  assert "finished already" in capsys.readouterr().out
  assert snapshot(finished.folder) == before


def test_other_settings_are_refused_and_nothing_is_touched(finished, inputs):
  before = snapshot(finished.folder)
  with pytest.raises(InputError, match="another holdout"):
    prepare.main(arguments(inputs, finished.folder, "--holdout=1"))
  assert snapshot(finished.folder) == before


def test_several_videos_make_one_data_set(inputs, tmp_path):
  out = tmp_path / "data"
  pair = arguments(inputs, out, "--holdout=0", "--workers=2")
  prepare.main([*pair, *pair[:2]])
  data = manifest.load(out)
  assert [clip.id for clip in data.clips] == ["clip", "clip-2"]
  assert data.num_records("train") == 2 * FRAMES
  assert data.splits["eval"] == ()
  # The second shard holds frames of both.
  assert [shard.records for shard in data.splits["train"]] == [128, 128, 44]
  index = manifest.load_index(data, "train")
  assert index.clip.tolist() == [0] * FRAMES + [1] * FRAMES
  named = {finding["clip"] for finding in data.footage}
  assert named == {None, "clip", "clip-2"}


def processes_of(parent: int) -> list[int]:
  """The ids of a process's children."""
  children = []
  for path in Path("/proc").glob("[0-9]*/stat"):
    try:
      fields = path.read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
      continue
    if int(fields[1]) == parent:
      children.append(int(path.parent.name))
  return children


def kill_at(pattern: bytes, command: list[str]) -> None:
  """Runs a command, kills it when it prints `pattern`, waits for its workers.

  Only the command itself is killed: its workers must end by themselves.
  """
  with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
    printed = b""
    while not re.search(pattern, printed):
      part = process.stderr.read1(4_096)
      assert part, f"ended before printing {pattern}: {printed.decode()}"
      printed += part
    workers = [os.pidfd_open(child) for child in processes_of(process.pid)]
    process.kill()
  assert workers
  for worker in workers:
    ended, _, _ = select.select([worker], [], [], 60)
    assert ended, "a worker outlived the command by a minute"
    os.close(worker)


@pytest.mark.skipif(
  not hasattr(os, "pidfd_open") or not Path("/proc").is_dir(),
  reason="watching the workers end needs Linux",
)
def test_killed_and_resumed_gives_the_same_bytes(
  inputs, tmp_path, landmark_model, capfd
):
  def command(out: Path, workers: int) -> list[str]:
    flags = [f"--video={inputs / 'clip.mp4'}", f"--out={out}"]
    flags += [f"--landmark-model={landmark_model}", "--crop-size=64"]
    program = [sys.executable, "-m", "input_pipeline.prepare"]
    return [*program, *flags, f"--workers={workers}"]

  whole, broken = tmp_path / "whole", tmp_path / "broken"
  subprocess.run(command(whole, 1), check=True)
  for pattern in (rb"faces: +[1-9]", rb"crops: +0%", rb"crops: +[1-9]"):
    kill_at(pattern, command(broken, 2))
    with pytest.raises(InputError, match="unfinished"):
      manifest.load(broken)
  capfd.readouterr()
  subprocess.run(command(broken, 2), check=True)
  assert "going on where" in capfd.readouterr().out
  assert digests(broken) == digests(whole)


def refuse(flags: list[str], capsys) -> str:
  """Runs prepare on bad input; returns its one line."""
  assert run_command(lambda: prepare.main(flags)) == 2
  captured = capsys.readouterr()
  lines = captured.err.strip().splitlines()
  assert lines[-1].startswith("error: ")
  assert sum(line.startswith("error: ") for line in lines) == 1
  assert "Traceback" not in captured.err
  return lines[-1]


def bad_video(kind: str, inputs: Path, folder: Path) -> Path:
  """Makes one kind of unusable video."""
  path = folder / f"{kind}.mp4"
  whole = (inputs / "clip.mp4").read_bytes()
  match kind:
    case "missing":
      pass
    case "empty":
      path.touch()
    case "text":
      path.write_text("a letter, not a film\n" * 50)
    case "truncated":
      path.write_bytes(whole[: len(whole) // 2])
    case "silent":
      film(path, audio=None)
    case "short":
      path = folder / "short.mov"
      pictures = [made_media.numbered(i) for i in range(12)]
      made_media.write_video(path, pictures, sound=tone(0.48))
    case "no-sound-in-track":
      path = folder / "hardly.mov"
      pictures = [made_media.numbered(i) for i in range(30)]
      made_media.write_video(path, pictures, sound=tone(0.03))
  return path


@pytest.mark.parametrize(
  ("kind", "said"),
  [
    ("missing", "no such file"),
    ("empty", "empty"),
    ("text", "not a video"),
    ("truncated", "cut off"),
    ("silent", "no audio track"),
    ("short", "0.48 s; expected at least 1 s"),
    ("no-sound-in-track", "less than one frame of 40 ms"),
  ],
)
def test_bad_video_is_refused(kind, said, inputs, tmp_path, capsys):
  path = bad_video(kind, inputs, tmp_path)
  out = tmp_path / "data"
  points = inputs / "points.npz"
  flags = [f"--video={path}", f"--landmarks={points}", f"--out={out}"]
  line = refuse(flags, capsys)
  assert said in line
  assert str(path) in line
  assert not out.exists()


def without_face(inputs: Path, folder: Path) -> list[str]:
  points = np.full((FRAMES, 478, 2), np.nan, np.float32)
  np.savez(folder / "none.npz", landmarks=points)
  return [f"--video={inputs / 'clip.mp4'}", f"--landmarks={folder}/none.npz"]


def test_no_face_is_refused_and_leaves_no_folder(inputs, tmp_path, capsys):
  out = tmp_path / "data"
  flags = [*without_face(inputs, tmp_path), f"--out={out}"]
  line = refuse(flags, capsys)
  assert "a face was found in 0 of 150 frames" in line
  assert not out.exists()


def test_no_face_leaves_a_folder_that_was_there(inputs, tmp_path, capsys):
  out = tmp_path / "data"
  out.mkdir()
  refuse([*without_face(inputs, tmp_path), f"--out={out}"], capsys)
  assert list(out.iterdir()) == []


@pytest.mark.parametrize(
  ("extra", "said"),
  [
    (["--holdout=5.9"], "leaves nothing to train on"),
    (["--holdout=-1"], "--holdout"),
    (["--crop-size=8"], "--crop-size 8"),
    (["--workers=0"], "--workers 0"),
    (["--landmarks=other.npz"], "2 --landmarks for 1 --video"),
  ],
)
def test_bad_setting_is_refused(extra, said, inputs, tmp_path, capsys):
  out = tmp_path / "data"
  assert said in refuse(arguments(inputs, out, *extra), capsys)
  assert not out.exists()


def test_landmarks_of_another_length_are_refused(inputs, tmp_path, capsys):
  np.savez(tmp_path / "points.npz", landmarks=face_points(149))
  out = tmp_path / "data"
  flags = [f"--video={inputs / 'clip.mp4'}", f"--out={out}"]
  line = refuse([*flags, f"--landmarks={tmp_path}/points.npz"], capsys)
  assert "149 frames; expected 150" in line
  assert not out.exists()


def test_missing_model_is_refused(inputs, tmp_path, capsys):
  out = tmp_path / "data"
  flags = [f"--video={inputs / 'clip.mp4'}", f"--out={out}"]
  line = refuse([*flags, "--landmark-model=nowhere.task"], capsys)
  assert "nowhere.task" in line
  assert not out.exists()


def test_folder_of_something_else_is_refused_untouched(
  inputs, tmp_path, capsys
):
  (tmp_path / "holiday.jpg").write_text("precious")
  line = refuse(arguments(inputs, tmp_path), capsys)
  assert "holds something else (holiday.jpg)" in line
  assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_out_that_is_a_file_is_refused(inputs, tmp_path, capsys):
  out = tmp_path / "data"
  out.write_text("precious")
  assert "is a file" in refuse(arguments(inputs, out), capsys)
  assert out.read_text() == "precious"


def test_out_below_a_file_is_refused(inputs, tmp_path, capsys):
  (tmp_path / "file").touch()
  line = refuse(arguments(inputs, tmp_path / "file" / "data"), capsys)
  assert "Not a directory" in line


def test_unwritable_place_is_refused(inputs, tmp_path, capsys):
  if os.geteuid() == 0:
    pytest.skip("root may write anywhere")
  tmp_path.chmod(0o500)
  line = refuse(arguments(inputs, tmp_path / "data"), capsys)
  assert "Permission denied" in line


def test_begun_folder_is_not_resumed_with_other_settings(
  inputs, tmp_path, capsys
):
  progress = tmp_path / "data" / manifest.PROGRESS_NAME
  progress.mkdir(parents=True)
  begun = {"settings": {"schema_version": 0}, "created": True}
  (progress / "settings.json").write_text(json.dumps(begun))
  line = refuse(arguments(inputs, tmp_path / "data"), capsys)
  assert "another schema version (0, now 1)" in line
  assert progress.exists()


def test_empty_folder_is_usable(tmp_path):
  check_usable(tmp_path)
  check_usable(tmp_path / "new")


def test_lost_worker_says_to_go_on():
  with Workers(1) as workers, pytest.raises(WorkerLostError, match="go"):
    list(workers.run(os._exit, [9]))


def test_measures_tell_sharp_from_soft_and_clipped():
  rng = np.random.default_rng(0)
  sharp = rng.integers(60, 200, (64, 64, 3), dtype=np.uint8)
  soft = np.repeat(np.repeat(sharp[::8, ::8], 8, axis=0), 8, axis=1)
  assert measure_crop(soft)[0] < measure_crop(sharp)[0] / 2
  half_white = sharp.copy()
  half_white[:32] = 255
  assert measure_crop(half_white)[1:] == [0.0, 0.5]
