r"""Turns a filmed person into data to train on.

    python -m input_pipeline.prepare --video speech.mp4 --out DATA

Finds the face in every frame, crops the lower half of it, computes what the
audio encoder hears, checks whether the footage is fit to train on, and writes
everything that training, rendering and evaluation need into DATA:

    DATA/report.html      look at this first: checks, crops, boxes, sound
    DATA/manifest.json    what is in here; written last, so present = finished
    DATA/shards/          the records: one video frame each
    DATA/clips/           a copy of each video, its sound, face track, features
    DATA/tfds/            the same records for TensorFlow Datasets

Interrupted, even by kill -9, it goes on where it stopped when the same command
is run again, and ends with the same bytes. Use 3 to 5 minutes of one person
facing the camera, in one take, with clear speech.

Examples:
  python -m input_pipeline.prepare --video a.mp4 --video b.mp4 --out DATA
  python -m input_pipeline.prepare --video a.mp4 --out DATA --crop-size 168
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import InputError, run_command

if TYPE_CHECKING:
  from input_pipeline.manifest import Manifest
  from input_pipeline.recording import Settings

# The rest is imported where it is used: each worker process imports this
# module again, and would wait seconds for parts it has no use for.

_EPILOG = """\
exit codes:
  0    done, or finished before with the same settings
  2    bad input: one line says what and how to mend it; nothing is left behind
  130  interrupted; run the same command to go on
"""


def build_parser() -> argparse.ArgumentParser:
  from input_pipeline.shards import FORMATS
  from input_pipeline.workers import available_cores
  from synctalk_jax.audio.features import ENCODERS

  parser = argparse.ArgumentParser(
    prog="python -m input_pipeline.prepare",
    description=__doc__,
    epilog=_EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add(
    "--video",
    required=True,
    action="append",
    type=Path,
    metavar="FILE",
    help="a video with sound, any format FFmpeg reads; may be given again",
  )
  add(
    "--out",
    required=True,
    type=Path,
    metavar="DATA",
    help="the folder to fill: new, empty, or begun by the same command",
  )
  add(
    "--fps",
    type=int,
    choices=(25, 20),
    default=25,
    help="frames per second to resample to (default 25)",
  )
  add(
    "--encoder",
    choices=ENCODERS,
    default=ENCODERS[0],
    help=f"audio encoder that will be trained with (default {ENCODERS[0]})",
  )
  add(
    "--crop-size",
    type=int,
    default=328,
    metavar="PIXELS",
    help="side of the crops, as config.data.crop_size: 328 for a GPU, 168 for "
    "a CPU (default %(default)s)",
  )
  add(
    "--landmarker",
    choices=("litert", "mediapipe"),
    default="litert",
    help="what runs the face model; mediapipe looks up a network address "
    "when it ends (default litert)",
  )
  add(
    "--landmark-model",
    type=Path,
    metavar="FILE",
    help="face_landmarker.task; found by itself after `make` or "
    "`python -m input_pipeline.face_model --fetch`",
  )
  add(
    "--landmarks",
    action="append",
    default=[],
    type=Path,
    metavar="FILE",
    help="face points computed elsewhere (.npz with `landmarks`, [frames, "
    "478, 2] in pixels); one for each --video, instead of looking for faces",
  )
  add(
    "--format",
    choices=FORMATS,
    default=FORMATS[0],
    help=f"of the shards; tfrecord for other programs (default {FORMATS[0]})",
  )
  add(
    "--holdout",
    type=float,
    metavar="SECONDS",
    help="how much of each clip's end is kept from training for the test "
    "(default a tenth, at most 30; 0 for none)",
  )
  add(
    "--workers",
    type=int,
    default=available_cores(),
    metavar="N",
    help="processes (default: one for each core, here %(default)s)",
  )
  return parser


def settings_from(arguments: argparse.Namespace) -> "Settings":
  """Checks the flags' values.

  Raises:
    InputError: one is out of range, or the landmark model is missing.
  """
  from input_pipeline.recording import Settings, landmark_model

  if not 32 <= arguments.crop_size <= 2048:
    raise InputError(
      f"--crop-size {arguments.crop_size} is not between 32 and 2048 pixels"
    )
  if arguments.holdout is not None and not arguments.holdout >= 0:
    raise InputError(f"--holdout {arguments.holdout} is not 0 s or more")
  if arguments.workers < 1:
    raise InputError(f"--workers {arguments.workers} is less than 1")
  return Settings(
    videos=tuple(arguments.video),
    landmarks=tuple(arguments.landmarks),
    fps=arguments.fps,
    encoder=arguments.encoder,
    crop_size=arguments.crop_size,
    landmarker=arguments.landmarker,
    model=landmark_model(arguments.landmark_model, arguments.landmarks),
    file_format=arguments.format,
    holdout=arguments.holdout,
  )


def summary(manifest: "Manifest", seconds: float) -> str:
  """What was made, and what to do next."""
  from input_pipeline.prepare_report import count_warnings, next_command
  from input_pipeline.work_folder import REPORT_NAME

  footage_seconds = sum(clip.duration_seconds for clip in manifest.clips)
  warnings = count_warnings(manifest)
  checks = f"{warnings} to read" if warnings else "all passed"
  return "\n".join(
    [
      f"{footage_seconds:.1f} s of video in {seconds:.1f} s: "
      f"{manifest.num_records('train')} training frames, "
      f"{manifest.num_records('eval')} held out",
      f"footage checks: {checks}",
      f"look at:  {manifest.folder / REPORT_NAME}",
      f"then run: {next_command(manifest)}",
    ]
  )


def main(argv: Sequence[str] | None = None) -> None:
  arguments = build_parser().parse_args(argv)
  from input_pipeline.preparation import prepare

  settings = settings_from(arguments)
  start = time.monotonic()
  manifest = prepare(settings, arguments.out, arguments.workers)
  print(summary(manifest, time.monotonic() - start))


if __name__ == "__main__":
  sys.exit(run_command(main))
