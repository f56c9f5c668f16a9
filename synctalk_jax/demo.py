"""From nothing to a talking face, with the commands a user would type."""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from input_pipeline import demo_speaker
from input_pipeline.errors import InputError, run_command
from input_pipeline.face_model import resolve_model
from input_pipeline.landmarks import open_landmarker, track_faces
from input_pipeline.video import FrameReader, index_video
from synctalk_jax import metrics, mouth
from synctalk_jax.evaluation_report import METRICS_FILE, PAGE_FILE
from synctalk_jax.saved_model_client import METADATA_PATH

_DESCRIPTION = """\
Makes a talking face from nothing, in about ten minutes on two CPU cores.

A portrait that everyone may use speaks synthetic sentences: the footage. A
small network learns from it how the mouth moves with the sound. Then the
portrait says sentences that were held out, is measured against the known
truth, and is exported as a SavedModel that a process without jax calls.

Each step is one of the program's own commands, printed before it runs: type
them yourself with your own video. Run again, the demo goes on where it was."""


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit code."""
  return run_command(lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m synctalk_jax.demo",
    description=_DESCRIPTION,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--out",
    type=Path,
    default=Path("demo"),
    help="folder for all that is made (default: %(default)s)",
  )
  parser.add_argument(
    "--steps",
    type=int,
    help="training steps (default: those of configs/demo.py)",
  )
  return parser


def _run(args: argparse.Namespace) -> int:
  started = time.monotonic()
  model = resolve_model(None)
  out = args.out
  talking = out / "talking.mp4"
  _announce("the footage: a portrait that speaks")
  speaker = demo_speaker.make_speaker(out / "speaker")
  heldout = (speaker.frame_count - speaker.heldout_start_frame) / speaker.fps
  _step(
    "faces and speech as data to learn from",
    "input_pipeline.prepare",
    f"--video={speaker.video}",
    f"--out={out / 'data'}",
    "--crop-size=168",
    f"--holdout={heldout:g}",
  )
  _step(
    "training",
    "synctalk_jax.train",
    f"--config={_config_file()}",
    f"--workdir={out / 'run'}",
    f"--config.data.path={out / 'data'}",
    *([f"--config.train.steps={args.steps}"] if args.steps else []),
  )
  folders = [f"--workdir={out / 'run'}", f"--data={out / 'data'}"]
  _step(
    "saying sentences that it has not learned from",
    "synctalk_jax.infer",
    *folders,
    f"--audio={speaker.heldout_audio}",
    f"--out={talking}",
    "--overwrite",
  )
  _step(
    "measuring it on held-out footage",
    "synctalk_jax.evaluate",
    *folders,
    f"--out={out / 'evaluation'}",
    f"--truth={speaker.folder / 'truth.npz'}",
  )
  scores = json.loads((out / "evaluation" / METRICS_FILE).read_text())
  if _newest_export(out, scores["step"]) is None:
    _step(
      "exporting it, and calling it without jax",
      "synctalk_jax.export",
      f"--workdir={out / 'run'}",
      f"--out={out / 'saved_model'}",
    )
  rendered = _measure_film(talking, speaker, model)
  _announce(f"done in {(time.monotonic() - started) / 60:.1f} minutes")
  _summarise(out, talking, scores, rendered)
  return 0


def _step(title: str, module: str, *arguments: str) -> None:
  """Runs one of the commands, as a user would."""
  _announce(title)
  print("$", shlex.join(["python", "-m", module, *arguments]), flush=True)
  code = subprocess.run(
    [sys.executable, "-m", module, *arguments], check=False
  ).returncode
  if code:
    raise InputError(
      f"the step above ended with exit code {code}; mend what it says and run "
      "the demo again"
    )


def _announce(title: str) -> None:
  print(f"\n== {title}", flush=True)


def _config_file() -> Path:
  return Path(__file__).resolve().parents[1] / "configs" / "demo.py"


def _measure_film(
  film: Path, speaker: demo_speaker.DemoSpeaker, model: Path
) -> tuple[float, int]:
  """Correlation and lag of the film's mouth with what the portrait said.

  The film was drawn on other frames than those that the sentences were
  spoken in, so that only its sound can have told the mouth what to do.
  """
  index = index_video(film)
  with (
    open_landmarker("litert", model) as landmarker,
    FrameReader(index) as reader,
  ):
    frames = reader.read(np.arange(len(index.pts)))
    drawn = mouth.opening(track_faces(landmarker, frames).landmarks)
  start = speaker.heldout_start_frame
  truth = speaker.load_truth().opening[start : start + len(drawn)]
  drawn = drawn[: len(truth)]
  seen = np.isfinite(drawn)
  return (
    metrics.correlation(truth[seen], drawn[seen]),
    metrics.lag_frames(truth[seen], drawn[seen]),
  )


def _newest_export(out: Path, step: int) -> Path | None:
  """The SavedModel of a training step, if there is one."""
  for path in (out / "saved_model").glob(f"*/{METADATA_PATH}"):
    if json.loads(path.read_text())["step"] == step:
      return path.parents[1]
  return None


def _summarise(
  out: Path,
  talking: Path,
  scores: dict[str, Any],
  rendered: tuple[float, int],
) -> None:
  drawn, template = scores["drawn"], scores["template"]
  print(
    f"talking face   {talking}\n"
    f"report         {out / 'evaluation' / PAGE_FILE}\n"
    f"footage check  {out / 'data' / 'report.html'}\n"
    f"SavedModel     {_newest_export(out, scores['step'])}\n\n"
    "mouth opening against the known truth, on sentences never learned from:\n"
    f"  talking face   correlation {rendered[0]:.3f}, lag {rendered[1]:+d} "
    "frames\n"
    f"  held-out tail  correlation {drawn['opening_correlation']:.3f}, lag "
    f"{drawn['opening_lag_frames']:+d} frames; PSNR at the mouth "
    f"{drawn['mouth_psnr']:.1f} dB\n"
    f"  untouched loop correlation {template['opening_correlation']:.3f}; "
    f"PSNR at the mouth {template['mouth_psnr']:.1f} dB"
  )


if __name__ == "__main__":
  sys.exit(main())
