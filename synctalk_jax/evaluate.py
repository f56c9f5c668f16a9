"""Measures a trained network on held-out footage: the `evaluate` command."""

import argparse
import os
import sys
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm

from input_pipeline import manifest as manifest_lib
from input_pipeline.errors import InputError, run_command
from input_pipeline.face_model import resolve_model
from input_pipeline.landmarks import open_landmarker
from input_pipeline.video import VideoWriter, index_video
from synctalk_jax import evaluation, run_folder, runtime
from synctalk_jax import evaluation_report as report
from synctalk_jax.predictor import Predictor

_DESCRIPTION = """\
Measures a trained network on footage that it has not seen.

The held-out tail of the prepared video is drawn anew, each frame from its
masked picture and its own audio, and compared with what was filmed: the
picture (PSNR, SSIM, and both at the mouth) and the mouth's opening over time
(correlation with the truth, and lag). The same is measured on the template
left as it is, so that a network that ignores the audio is found out."""

_EPILOG = """\
writes into --out:
  metrics.json       the numbers, with a schema version
  report.html        the page to look at: film, faces, curves
  side_by_side.mp4   filmed left, drawn right

example:
  python -m synctalk_jax.evaluate --workdir runs/anna --data data/anna

exit codes: 0 measured; 2 bad input, one line says what; 130 interrupted."""


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit code."""
  return run_command(lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m synctalk_jax.evaluate",
    description=_DESCRIPTION,
    epilog=_EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--workdir", type=Path, required=True, help="folder of the training run"
  )
  parser.add_argument(
    "--data",
    type=Path,
    required=True,
    help="prepared data with a held-out tail",
  )
  parser.add_argument(
    "--out", type=Path, help="folder to write (default: WORKDIR/evaluation)"
  )
  parser.add_argument(
    "--clip", help="which clip of the data (default: the first)"
  )
  parser.add_argument(
    "--truth",
    type=Path,
    help=".npz with an array 'opening', one number a frame, where the mouth's "
    "true opening is known (default: landmarks of the filmed frames)",
  )
  parser.add_argument(
    "--landmarker",
    choices=("litert", "mediapipe"),
    default="litert",
    help="what finds the mouth in drawn frames (default: %(default)s)",
  )
  parser.add_argument(
    "--landmark-model", type=Path, help="face_landmarker.task to use"
  )
  parser.add_argument(
    "--batch-size",
    type=int,
    default=8,
    help="faces drawn at once (default: %(default)s)",
  )
  return parser


def _run(args: argparse.Namespace) -> int:
  runtime.setup()
  if args.batch_size < 1:
    raise InputError(f"--batch-size {args.batch_size}; expected 1 or more")
  run = run_folder.load(args.workdir)
  manifest = manifest_lib.load(args.data)
  run_folder.check_data(run, manifest)
  track = manifest_lib.load_clip(manifest, args.clip)
  frames = evaluation.held_out_frames(track)
  if args.truth:
    evaluation.load_opening(args.truth, track)
  model = resolve_model(args.landmark_model)
  predictor = Predictor(run, args.batch_size)
  folder = args.out or args.workdir / "evaluation"
  _check_replaceable(folder)
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(
    prefix=f".{folder.name}.", dir=folder.parent
  ) as temporary:
    result = _measure(args, run, track, frames, predictor, model, temporary)
    report.write(
      Path(temporary),
      run,
      predictor.step,
      track.clip.id,
      track.fps,
      result,
    )
    _replace(folder, Path(temporary))
  print(report.summary(result))
  print(f"report: {folder / report.PAGE_FILE}")
  return 0


def _measure(args, run, track, frames, predictor, model, folder):
  source = index_video(track.video)
  sheet = report.ContactSheet(frames)
  bar = tqdm(total=len(frames), desc="evaluate", unit="frame")
  with (
    open_landmarker(args.landmarker, model) as landmarker,
    VideoWriter(
      Path(folder) / report.FILM_FILE,
      2 * source.width,
      source.height,
      Fraction(track.fps),
      audio=_sound(track, frames),
      source=source,
    ) as film,
    bar,
  ):

    def observe(item: evaluation.Comparison) -> None:
      film.write(report.side_by_side(item))
      sheet.add(item)
      bar.update()

    result = evaluation.evaluate(
      evaluation.compare(predictor, run, track, frames),
      run,
      track,
      landmarker,
      args.truth,
      observe,
    )
  sheet.save(report.sheet_path(Path(folder)))
  return result


def _sound(track, frames) -> tuple[np.ndarray, int]:
  """The audio of exactly the frames that are shown, joined."""
  with wave.open(str(track.audio), "rb") as file:
    rate = file.getframerate()
    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
  per_frame = [
    samples[f * rate // track.fps : (f + 1) * rate // track.fps] for f in frames
  ]
  return np.concatenate(per_frame), rate


def _check_replaceable(folder: Path) -> None:
  """Refuses a folder that this command did not write."""
  if not folder.exists():
    return
  if not folder.is_dir() or (
    any(folder.iterdir()) and not (folder / report.METRICS_FILE).is_file()
  ):
    raise InputError(
      f"--out {folder} holds something that is no evaluation; give a new or "
      "empty folder"
    )


def _replace(folder: Path, new: Path) -> None:
  """Moves the files over those of an older evaluation, the numbers last."""
  folder.mkdir(exist_ok=True)
  for path in sorted(new.iterdir(), key=lambda p: p.name == "metrics.json"):
    os.replace(path, folder / path.name)


if __name__ == "__main__":
  sys.exit(main())
