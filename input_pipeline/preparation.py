"""The work of `prepare`, stage by stage.

Everything a stage leaves is a finished file, and a stage skips the files that
are there: that alone is how an interrupted run goes on. The result is decided
by the settings, never by the number of processes or where a run stopped.
"""

import dataclasses
import json
import shutil
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm

import synctalk_jax
from input_pipeline import crops, footage, schema, work_folder
from input_pipeline import manifest as manifest_lib
from input_pipeline.errors import InputError
from input_pipeline.landmarks import FaceTrack
from input_pipeline.manifest import Clip, Manifest, SplitIndex, save_index
from input_pipeline.prepare_report import write_report
from input_pipeline.prepare_tasks import TrackTask, fill_shard, track_chunk
from input_pipeline.recording import (
  SAMPLE_RATE,
  Recording,
  Settings,
  read_recordings,
)
from input_pipeline.shard_plan import Track, record_index, shard_tasks
from input_pipeline.shards import Shard
from input_pipeline.splits import audio_reach, split_frames
from input_pipeline.tfds_builder import write_metadata
from input_pipeline.work_folder import WorkFolder
from input_pipeline.workers import WorkerLostError, Workers
from synctalk_jax.audio import features, windows

# Fixed, and every chunk begins with a detection: landmarks must not depend
# on how the work was shared out.
_CHUNK_FRAMES = 100


def prepare(settings: Settings, out: Path, num_workers: int) -> Manifest:
  """Turns videos into a finished data folder.

  Args:
    settings: what to make of which videos.
    out: the folder; new, empty, or one where an earlier run stopped.
    num_workers: how many processes share the work.

  Returns:
    The manifest; of the earlier run, if the folder is finished already.

  Raises:
    InputError: the input cannot be used. Then nothing is left in the folder.
    WorkerLostError: a process was killed; running again goes on.
  """
  work_folder.check_usable(out)
  recordings = read_recordings(settings)
  described = settings.describe(recordings)
  if work_folder.is_finished(out, described):
    print(f"{out} is finished already with these settings")
    work_folder.clear_progress(out)
    return manifest_lib.load(out)
  with work_folder.claim(out, described) as folder:
    if folder.resumed:
      print(f"going on where {out} was left")
    try:
      manifest = _run_stages(
        settings, recordings, described, folder, num_workers
      )
    except WorkerLostError:
      raise
    except InputError:
      folder.discard()
      raise
    manifest_lib.save(manifest)
    work_folder.clear_progress(out)
  return manifest


def _run_stages(
  settings: Settings,
  recordings: Sequence[Recording],
  described: dict[str, Any],
  folder: WorkFolder,
  num_workers: int,
) -> Manifest:
  recordings = [_store(recording, settings, folder) for recording in recordings]
  with Workers(num_workers) as workers:
    found = _find_landmarks(recordings, settings, folder, workers)
    tracks = [
      _store_track(recording, faces, settings, folder)
      for recording, faces in zip(recordings, found, strict=True)
    ]
    index = record_index(tracks)
    splits, quality = _fill_shards(
      recordings, tracks, index, settings, folder, workers
    )
  length, width, num_starts = windows.window_shape(settings.audio)
  manifest = Manifest(
    folder=folder.root,
    created_by=f"synctalk_jax {synctalk_jax.__version__}",
    fps=settings.fps,
    audio=settings.audio,
    shapes=schema.Shapes(settings.crop_size, length, width, num_starts),
    shard_format=settings.file_format,
    splits=splits,
    index_sha256=save_index(folder.root / manifest_lib.INDEX_NAME, index),
    clips=_clips(recordings, tracks, settings),
    footage=_check_footage(recordings, tracks, quality, settings),
    settings=described,
  )
  write_metadata(manifest)
  write_report(manifest)
  return manifest


def _store(
  recording: Recording, settings: Settings, folder: WorkFolder
) -> Recording:
  """Copies a video and its sound; returns the recording at its new place."""
  target = folder.root / "clips" / recording.id
  target.mkdir(parents=True, exist_ok=True)
  video = target / recording.stored_name
  if not video.exists():
    with folder.replacing(video) as temporary:
      shutil.copyfile(recording.path, temporary)
  with folder.replacing(target / "audio.wav") as temporary:
    _write_wav(temporary, recording.samples)
  if not (target / "features.npy").exists():
    stream = features.extract(recording.samples, settings.audio)
    with (
      folder.replacing(target / "features.npy") as temporary,
      open(temporary, "wb") as file,
    ):
      np.save(file, stream)
  return dataclasses.replace(
    recording, index=dataclasses.replace(recording.index, path=video)
  )


def _write_wav(path: Path, samples: np.ndarray) -> None:
  # From an open file: given a name, wave would guess at the format.
  with open(path, "wb") as file, wave.open(file, "wb") as sound:
    sound.setnchannels(1)
    sound.setsampwidth(2)
    sound.setframerate(SAMPLE_RATE)
    sound.writeframes(samples.astype("<i2").tobytes())


def _find_landmarks(
  recordings: Sequence[Recording],
  settings: Settings,
  folder: WorkFolder,
  workers: Workers,
) -> list[FaceTrack]:
  """The faces of every recording, given or looked for."""
  chunks = [
    list(_chunks(recording, settings, folder))
    for recording in recordings
    if recording.faces is None
  ]
  tasks = [task for tasks in chunks for task in tasks]
  missing = [task for task in tasks if not task.out.exists()]
  total = sum(len(task.pictures) for task in tasks)
  done = total - sum(len(task.pictures) for task in missing)
  with _progress("faces", total, done) as bar:
    for count in workers.run(track_chunk, missing):
      bar.update(count)
  joined = (_join_chunks(tasks) for tasks in chunks)
  return [
    next(joined) if recording.faces is None else recording.faces
    for recording in recordings
  ]


def _chunks(
  recording: Recording, settings: Settings, folder: WorkFolder
) -> Iterator[TrackTask]:
  for start in range(0, len(recording.pictures), _CHUNK_FRAMES):
    yield TrackTask(
      index=recording.index,
      pictures=recording.pictures[start : start + _CHUNK_FRAMES],
      landmarker=settings.landmarker,
      model=settings.model,
      out=folder.progress / f"{recording.id}-faces-{start:07d}.npz",
      scratch=folder.progress,
    )


def _join_chunks(tasks: Sequence[TrackTask]) -> FaceTrack:
  parts: dict[str, list[np.ndarray]] = {}
  for task in tasks:
    with np.load(task.out) as arrays:
      for name in arrays.files:
        parts.setdefault(name, []).append(arrays[name])
  return FaceTrack(
    **{name: np.concatenate(part) for name, part in parts.items()}
  )


def _store_track(
  recording: Recording,
  faces: FaceTrack,
  settings: Settings,
  folder: WorkFolder,
) -> Track:
  """Smooths the boxes, splits the frames and writes `track.npz`."""
  found = np.isfinite(faces.landmarks).all(axis=(1, 2))
  if not footage.enough_faces(found):
    raise InputError(
      f"{recording.path}: a face was found in {found.sum()} of {len(found)} "
      "frames; expected one person, facing the camera, the face at least a "
      "tenth of the picture's longer side"
    )
  raw_boxes = crops.face_boxes(faces.landmarks)
  boxes, usable = crops.smooth_boxes(raw_boxes, found)
  train_end, eval_start = split_frames(
    len(found), settings.fps, settings.holdout, audio_reach(settings.audio)
  )
  track = Track(
    landmarks=faces.landmarks,
    num_faces=faces.num_faces,
    raw_boxes=raw_boxes,
    boxes=boxes,
    found=found,
    usable=usable,
    train_end=train_end,
    eval_start=eval_start,
  )
  path = folder.root / "clips" / recording.id / "track.npz"
  with folder.replacing(path) as temporary, open(temporary, "wb") as file:
    np.savez(
      file,
      source_frame=recording.pictures,
      landmarks=track.landmarks,
      boxes=boxes,
      found=found,
      usable=usable,
    )
  return track


def _fill_shards(
  recordings: Sequence[Recording],
  tracks: Sequence[Track],
  index: dict[str, SplitIndex],
  settings: Settings,
  folder: WorkFolder,
  workers: Workers,
) -> tuple[dict[str, tuple[Shard, ...]], dict[str, np.ndarray]]:
  """Crops into shards; the shards, and each clip's picture quality."""
  (folder.root / "shards").mkdir(exist_ok=True)
  tasks = {
    split: list(shard_tasks(split, entry, recordings, tracks, settings, folder))
    for split, entry in index.items()
  }
  if not tasks["train"]:
    raise InputError(
      "no frame with a face is left to train on; give a smaller --holdout or "
      "a video with a face throughout"
    )
  ordered = [task for entries in tasks.values() for task in entries]
  missing = [task for task in ordered if not task.done.exists()]
  total = sum(task.num_records for task in ordered)
  done = total - sum(task.num_records for task in missing)
  with _progress("crops", total, done) as bar:
    for count in workers.run(fill_shard, missing):
      bar.update(count)
  results = {
    task.path.name: json.loads(task.done.read_text()) for task in ordered
  }
  quality: dict[str, list] = {}
  for result in results.values():
    for clip, rows in result["quality"].items():
      quality.setdefault(clip, []).extend(rows)
  splits = {
    split: tuple(Shard(**results[task.path.name]["shard"]) for task in entries)
    for split, entries in tasks.items()
  }
  return splits, {clip: np.array(rows) for clip, rows in quality.items()}


def _clips(
  recordings: Sequence[Recording], tracks: Sequence[Track], settings: Settings
) -> tuple[Clip, ...]:
  return tuple(
    Clip(
      id=recording.id,
      video=recording.stored_name,
      source_name=recording.path.name,
      sha256=recording.sha256,
      bytes=recording.bytes,
      width=recording.index.width,
      height=recording.index.height,
      average_fps=float(recording.index.average_rate),
      frames=len(track.found),
      face_frames=int(track.found.sum()),
      usable_frames=int(track.usable.sum()),
      duration_seconds=len(track.found) / settings.fps,
      train_end=track.train_end,
      eval_start=track.eval_start,
    )
    for recording, track in zip(recordings, tracks, strict=True)
  )


def _check_footage(
  recordings: Sequence[Recording],
  tracks: Sequence[Track],
  quality: dict[str, np.ndarray],
  settings: Settings,
) -> list[dict[str, Any]]:
  """The findings on all clips together and on each, as JSON."""
  seconds = sum(len(track.found) for track in tracks) / settings.fps
  findings = [
    {"clip": None} | dataclasses.asdict(footage.check_length(seconds))
  ]
  for recording, track in zip(recordings, tracks, strict=True):
    index = recording.index
    evidence = footage.Footage(
      fps=settings.fps,
      crop_size=settings.crop_size,
      landmarks=track.landmarks,
      num_faces=track.num_faces,
      raw_boxes=track.raw_boxes,
      boxes=track.boxes,
      found=track.found,
      usable=track.usable,
      overhang=np.array(
        [crops.overhang(box, index.height, index.width) for box in track.boxes]
      ),
      quality=quality[recording.id],
      samples=recording.samples,
      missing_seconds=recording.missing_seconds,
    )
    findings += [
      {"clip": recording.id} | dataclasses.asdict(finding)
      for finding in footage.check_footage(evidence)
    ]
  return findings


def _progress(what: str, total: int, done: int) -> tqdm.tqdm:
  return tqdm.tqdm(
    total=total, initial=done, desc=what, unit="frame", smoothing=0.1
  )
