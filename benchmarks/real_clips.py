"""The whole chain on real clips: prepare, train, say something, measure.

  python -m benchmarks.real_clips CLIPS --audio speech.wav --out DIR

CLIPS is a folder of videos, one speaker each. Every clip is prepared, a small
network trained on it for a few steps, made to say the audio, and measured on
its held-out end; each step is the command that a user would type. One line a
clip tells how it went; a step that fails stops the run.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import av

_ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
  """Runs the chain on every clip; returns the exit code."""
  arguments = _parser().parse_args()
  clips = sorted(arguments.clips.glob("*.mp4"))
  if not clips:
    print(f"error: no *.mp4 in {arguments.clips}", file=sys.stderr)
    return 2
  print(
    f"{'clip':36}{'prepare':>9}{'speed':>8}{'train':>8}{'infer':>8}"
    f"{'frames':>8}{'mouth':>9}{'loop':>9}{'opening':>9}{'loop':>7}"
  )
  for clip in clips:
    try:
      print(_chain(clip, arguments), flush=True)
    except subprocess.CalledProcessError as error:
      print(f"{clip.name}: {error.cmd[2]} failed\n{error.stderr[-2000:]}")
      return 1
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("clips", type=Path, help="folder of *.mp4")
  parser.add_argument(
    "--audio", type=Path, required=True, help="what every clip is to say"
  )
  parser.add_argument(
    "--out", type=Path, required=True, help="folder for what is made"
  )
  parser.add_argument(
    "--steps", type=int, default=200, help="training steps (%(default)s)"
  )
  parser.add_argument(
    "--crop-size", type=int, default=88, help="pixels (%(default)s)"
  )
  parser.add_argument(
    "--width", type=int, default=12, help="of the U-Net (%(default)s)"
  )
  return parser


def _chain(clip: Path, arguments: argparse.Namespace) -> str:
  folder = arguments.out / clip.stem
  folder.mkdir(parents=True, exist_ok=True)
  data, run, film = folder / "data", folder / "run", folder / "talking.mp4"
  prepare = _command(
    "input_pipeline.prepare",
    f"--video={clip}",
    f"--out={data}",
    f"--crop-size={arguments.crop_size}",
  )
  train = _command(
    "synctalk_jax.train",
    f"--config={_ROOT / 'configs' / 'demo.py'}",
    f"--workdir={run}",
    f"--config.data.path={data}",
    f"--config.data.crop_size={arguments.crop_size}",
    f"--config.model.width={arguments.width}",
    f"--config.train.steps={arguments.steps}",
  )
  both = [f"--workdir={run}", f"--data={data}"]
  infer = _command(
    "synctalk_jax.infer",
    *both,
    f"--audio={arguments.audio}",
    f"--out={film}",
    "--overwrite",
  )
  _command("synctalk_jax.evaluate", *both, f"--out={folder / 'evaluation'}")
  scores = json.loads((folder / "evaluation" / "metrics.json").read_text())
  drawn, loop = scores["drawn"], scores["template"]
  with av.open(str(clip)) as container:
    seconds = container.duration / av.time_base
  with av.open(str(film)) as container:
    frames = sum(1 for _ in container.decode(video=0))
  return (
    f"{clip.name:36}{prepare:7.1f} s{seconds / prepare:7.2f}x{train:6.0f} s"
    f"{infer:6.1f} s{frames:8d}{drawn['mouth_psnr']:6.1f} dB"
    f"{loop['mouth_psnr']:6.1f} dB{drawn['opening_correlation']:9.2f}"
    f"{loop['opening_correlation']:7.2f}"
  )


def _command(module: str, *arguments: str) -> float:
  """Runs one of the program's commands; returns its wall time in seconds."""
  started = time.perf_counter()
  subprocess.run(
    [sys.executable, "-m", module, *arguments],
    cwd=_ROOT,
    check=True,
    capture_output=True,
    text=True,
  )
  return time.perf_counter() - started


if __name__ == "__main__":
  sys.exit(main())
