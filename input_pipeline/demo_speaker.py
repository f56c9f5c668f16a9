"""Makes the talking head that the demo learns from, with known mouth shapes.

    python -m input_pipeline.demo_speaker --out DIR

No download, no camera: the portrait is NASA's public-domain photograph of
Eileen Collins as the scikit-image wheel (BSD-3-Clause) packages it, the
voice is espeak-ng's C library (GPL-3.0-or-later) from the `espeakng-loader`
wheel, used as the user installed it. Both come with the `demo` extra. The
mouth follows the phonemes (`visemes`), the picture follows the mouth
(`face_warp`), so the shape of the mouth is known exactly in every frame.

DIR then holds
    speaker.mp4   512x512, 25 fps, H.264 and AAC; the tail is held out
    heldout.wav   the sound of that tail, to the sample, uncompressed
    truth.npz     the mouth in every frame, see `demo_truth`
    speaker.json  the rest: version, settings, sentences, units
The same settings give the same clip; a finished one is not made again.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tqdm

from input_pipeline.atomic_file import replacing
from input_pipeline.demo_portrait import FACE_HEIGHT, PORTRAIT_SIZE
from input_pipeline.demo_script import Sentence, SoundTrack, record_track
from input_pipeline.demo_truth import UNITS, Truth, load_truth, save_truth
from input_pipeline.errors import InputError, run_command
from input_pipeline.face_pose import HeadPose, MouthPose, mouth_points
from input_pipeline.face_warp import TalkingFace
from input_pipeline.head_motion import blink_curve, head_path
from input_pipeline.video import VideoWriter
from input_pipeline.visemes import mouth_curves

FPS = 25
TRAINING_SECONDS = 60.0
HELDOUT_SECONDS = 13.0

# Raise it whenever the picture, the sound or the files change.
_VERSION = 1
_SEED = 0
_FACTS = "speaker.json"
_VIDEO = "speaker.mp4"
_HELDOUT = "heldout.wav"
_TRUTH = "truth.npz"


@dataclasses.dataclass(frozen=True)
class DemoSpeaker:
  """A finished clip.

  Attributes:
    folder: where its files are.
    fps: frames a second.
    frame_count: frames in the clip.
    heldout_start_frame: from here on nothing may be trained on.
    sentences: what is said, the held-out ones last.
  """

  folder: Path
  fps: int
  frame_count: int
  heldout_start_frame: int
  sentences: tuple[Sentence, ...]

  @property
  def video(self) -> Path:
    """The clip, with its sound."""
    return self.folder / _VIDEO

  @property
  def heldout_audio(self) -> Path:
    """The sound from `heldout_start_frame` on."""
    return self.folder / _HELDOUT

  @property
  def heldout_start_seconds(self) -> float:
    """Where the held-out tail begins."""
    return self.heldout_start_frame / self.fps

  def load_truth(self) -> Truth:
    """The mouth in every frame."""
    return load_truth(self.folder / _TRUTH)


def make_speaker(
  out_dir: str | Path,
  training_seconds: float = TRAINING_SECONDS,
  heldout_seconds: float = HELDOUT_SECONDS,
) -> DemoSpeaker:
  """Makes the clip, unless a finished one with these settings is there.

  Args:
    out_dir: the folder for its files; created where there is none.
    training_seconds: shortest length of the part to train on; it ends with
      the sentence that reaches it.
    heldout_seconds: the same for the tail.

  Raises:
    InputError: the portrait or the voice is not installed, the folder cannot
      be one, or there are not enough sentences.
  """
  folder = Path(out_dir)
  if folder.exists() and not folder.is_dir():
    raise InputError(
      f"{folder} is a file, expected a folder; give another one with --out"
    )
  settings = {
    "training_seconds": float(training_seconds),
    "heldout_seconds": float(heldout_seconds),
  }
  finished = _load_finished(folder, settings)
  if finished is not None:
    return finished
  face = TalkingFace()
  track = record_track(training_seconds, heldout_seconds, FPS)
  poses, truth = _act(track)
  folder.mkdir(parents=True, exist_ok=True)
  # It is written last: while it is missing, the clip is not finished.
  (folder / _FACTS).unlink(missing_ok=True)
  speaker = DemoSpeaker(
    folder, FPS, track.frame_count, track.heldout_start_frame, track.sentences
  )
  with VideoWriter(
    speaker.video,
    PORTRAIT_SIZE,
    PORTRAIT_SIZE,
    FPS,
    audio=(track.samples, track.rate),
  ) as writer:
    for frame in tqdm.tqdm(
      _render(face, poses), total=len(poses), desc="speaker", unit="frame"
    ):
      writer.write(frame)
  _save_wav(
    speaker.heldout_audio,
    track.samples[track.heldout_start_frame * track.rate // FPS :],
    track.rate,
  )
  save_truth(folder / _TRUTH, truth)
  _save_facts(speaker, settings)
  return speaker


def _act(
  track: SoundTrack,
) -> tuple[list[tuple[MouthPose, HeadPose, float]], Truth]:
  """Every frame's mouth, head and eyes, and the same as truth."""
  count = track.frame_count
  curves = mouth_curves(track.phonemes, count, FPS)
  rng = np.random.default_rng(_SEED)
  heads = head_path(count, FPS, rng)
  blink = blink_curve(count, FPS, rng)
  mouths = [
    MouthPose(float(opening), float(width), float(rounding))
    for opening, width, rounding in zip(
      curves.opening, curves.width, curves.rounding, strict=True
    )
  ]
  truth = Truth(
    time=np.arange(count) / FPS,
    opening=curves.opening,
    width=curves.width,
    rounding=curves.rounding,
    blink=blink,
    head_scale=np.array([head.scale for head in heads]),
    mouth_points=np.array(
      [
        mouth_points(mouth, head)
        for mouth, head in zip(mouths, heads, strict=True)
      ]
    ),
    face_height=FACE_HEIGHT,
  )
  return list(zip(mouths, heads, blink.tolist(), strict=True)), truth


def _render(
  face: TalkingFace, poses: list[tuple[MouthPose, HeadPose, float]]
) -> Iterator[np.ndarray]:
  """Draws the frames in order, a few ahead of the encoder."""
  workers = min(4, os.cpu_count() or 1)
  waiting: collections.deque[concurrent.futures.Future] = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    for pose in poses:
      waiting.append(pool.submit(face.render, *pose))
      if len(waiting) > 4 * workers:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()


def _load_finished(folder: Path, settings: dict) -> DemoSpeaker | None:
  """The clip in `folder`, if it is whole and of these settings."""
  try:
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
  except (FileNotFoundError, ValueError):
    return None
  if not isinstance(facts, dict):
    return None
  if facts.get("version") != _VERSION or facts.get("settings") != settings:
    return None
  if not all((folder / name).is_file() for name in facts["files"]):
    return None
  return DemoSpeaker(
    folder=folder,
    fps=facts["fps"],
    frame_count=facts["frame_count"],
    heldout_start_frame=facts["heldout_start_frame"],
    sentences=tuple(Sentence(**entry) for entry in facts["sentences"]),
  )


def _save_facts(speaker: DemoSpeaker, settings: dict) -> None:
  facts = {
    "version": _VERSION,
    "settings": settings,
    "files": [_VIDEO, _HELDOUT, _TRUTH],
    "fps": speaker.fps,
    "frame_count": speaker.frame_count,
    "heldout_start_frame": speaker.heldout_start_frame,
    "heldout_start_seconds": speaker.heldout_start_seconds,
    "truth_units": UNITS,
    "sentences": [
      dataclasses.asdict(sentence) for sentence in speaker.sentences
    ],
  }
  with replacing(speaker.folder / _FACTS) as temporary:
    temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _save_wav(path: Path, samples: np.ndarray, rate: int) -> None:
  with (
    replacing(path) as temporary,
    wave.open(str(temporary), "wb") as file,
  ):
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(samples.astype("<i2").tobytes())


def main(arguments: list[str] | None = None) -> None:
  """The command; see the module's description."""
  description, details = __doc__.split("\n", 1)
  parser = argparse.ArgumentParser(
    prog="python -m input_pipeline.demo_speaker",
    description=description,
    epilog=details,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--out", required=True, type=Path, help="folder for the clip's files"
  )
  parser.add_argument(
    "--training-seconds",
    type=float,
    default=TRAINING_SECONDS,
    help="length of the part to train on, about (default: %(default)s)",
  )
  parser.add_argument(
    "--heldout-seconds",
    type=float,
    default=HELDOUT_SECONDS,
    help="length of the held-out tail, about (default: %(default)s)",
  )
  flags = parser.parse_args(arguments)
  speaker = make_speaker(
    flags.out, flags.training_seconds, flags.heldout_seconds
  )
  print(
    f"{speaker.video}: {speaker.frame_count / speaker.fps:.1f} s, "
    f"{len(speaker.sentences)} sentences, held out from "
    f"{speaker.heldout_start_seconds:.2f} s\n"
    f"next: python -m input_pipeline.prepare --video {speaker.video} "
    f"--out {speaker.folder / 'data'}"
  )


if __name__ == "__main__":
  raise SystemExit(run_command(main))
