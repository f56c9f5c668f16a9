"""Makes the trained person say an audio file: the `infer` command."""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from tqdm import tqdm

from input_pipeline import manifest as manifest_lib
from input_pipeline.errors import InputError, run_command
from input_pipeline.video import VideoWriter, index_video
from synctalk_jax import run_folder, runtime
from synctalk_jax.predictor import Predictor
from synctalk_jax.renderer import Speech, render

_DESCRIPTION = """\
Makes the trained person say an audio file.

The frames of the prepared video are the template: they are shown forth and
back for as long as the audio lasts, and in each the lower face is drawn anew
to match what is heard. Everything outside the pasted square is left as it was
filmed. The audio is put into the video as it is, where mp4 can hold it."""

_EPILOG = """\
example:
  python -m synctalk_jax.infer --workdir runs/anna --data data/anna \\
      --audio speech.mp3 --out talking.mp4

exit codes: 0 rendered; 2 bad input, one line says what; 130 interrupted.
The video appears under its name only when it is complete."""


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit code."""
  return run_command(lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m synctalk_jax.infer",
    description=_DESCRIPTION,
    epilog=_EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--workdir", type=Path, required=True, help="folder of the training run"
  )
  parser.add_argument(
    "--data", type=Path, required=True, help="prepared data of the person"
  )
  parser.add_argument(
    "--audio",
    type=Path,
    required=True,
    help="what to say: any audio or video file with sound",
  )
  parser.add_argument(
    "--out", type=Path, required=True, help="the mp4 file to write"
  )
  parser.add_argument(
    "--overwrite",
    action="store_true",
    help="replace --out if it is there",
  )
  parser.add_argument(
    "--clip", help="which clip of the data is the template (default: the first)"
  )
  parser.add_argument(
    "--batch-size",
    type=int,
    default=8,
    help="faces drawn at once (default: %(default)s)",
  )
  parser.add_argument(
    "--crf",
    type=int,
    default=18,
    help="H.264 quality: 0 lossless, 18 visually so, 51 worst "
    "(default: %(default)s)",
  )
  return parser


def _run(args: argparse.Namespace) -> int:
  runtime.setup()
  _check_arguments(args)
  run = run_folder.load(args.workdir)
  manifest = manifest_lib.load(args.data)
  run_folder.check_data(run, manifest)
  track = manifest_lib.load_clip(manifest, args.clip)
  speech = Speech(args.audio, run)
  predictor = Predictor(run, args.batch_size)
  source = index_video(track.video)
  frames = tqdm(
    render(predictor, run, track, speech),
    desc="render",
    total=speech.num_frames,
    unit="frame",
  )
  with VideoWriter(
    args.out,
    source.width,
    source.height,
    Fraction(manifest.fps),
    crf=args.crf,
    audio=args.audio,
    source=source,
  ) as writer:
    for frame in frames:
      writer.write(frame)
  print(
    f"{args.out}: {speech.num_frames} frames, "
    f"{speech.num_frames / manifest.fps:.2f} s, drawn by step "
    f"{predictor.step} of {args.workdir}"
  )
  return 0


def _check_arguments(args: argparse.Namespace) -> None:
  if args.out.suffix.lower() != ".mp4":
    raise InputError(f"--out {args.out} does not end in .mp4")
  if args.out.is_dir() or not args.out.parent.is_dir():
    raise InputError(
      f"--out {args.out}: expected a file in a folder that exists"
    )
  if args.out.exists() and not args.overwrite:
    raise InputError(
      f"--out {args.out} exists; choose another name or pass --overwrite"
    )
  if args.batch_size < 1:
    raise InputError(f"--batch-size {args.batch_size}; expected 1 or more")
  if not 0 <= args.crf <= 51:
    raise InputError(f"--crf {args.crf}; expected 0 to 51")


if __name__ == "__main__":
  sys.exit(main())
