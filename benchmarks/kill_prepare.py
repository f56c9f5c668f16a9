r"""Kills `prepare` at random moments and compares what it makes in the end.

    python -m benchmarks.kill_prepare --video V.mp4 --rounds 20

Prepares the video once without a break. Then starts again and again in
another folder, sends SIGKILL after a random time, and when a run has ended
by itself compares its shards with the first one's: they must be the same,
byte for byte. Prints one line for each kill; exit code 1 if any byte differs.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from input_pipeline import manifest, schema


def digests(folder: Path) -> list[str]:
  splits = manifest.load(folder).splits
  return [shard.sha256 for split in schema.SPLITS for shard in splits[split]]


def command(video: Path, out: Path) -> list[str]:
  flags = [f"--video={video}", f"--out={out}"]
  return [sys.executable, "-m", "input_pipeline.prepare", *flags]


def interrupt_until_done(video: Path, out: Path, longest: float, rng) -> int:
  """Runs prepare to its end through kills; returns how many there were."""
  kills = 0
  while True:
    delay = rng.uniform(0, longest)
    # A run in which everything can be done ends by itself, sooner or later.
    longest *= 1.1
    process = subprocess.Popen(
      command(video, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
      if process.wait(delay) != 0:
        raise SystemExit(f"prepare ended with {process.returncode}")
      return kills
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()
      kills += 1
      print(f"  killed after {delay:.2f} s", flush=True)


def main() -> int:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.kill_prepare",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--video", type=Path, required=True, metavar="FILE")
  parser.add_argument(
    "--rounds", type=int, default=5, help="folders to fill (default 5)"
  )
  parser.add_argument("--seed", type=int, default=0, help="of the moments")
  arguments = parser.parse_args()
  rng = random.Random(arguments.seed)  # noqa: S311 (no secret)
  with tempfile.TemporaryDirectory() as folder:
    whole = Path(folder) / "whole"
    start = time.monotonic()
    subprocess.run(command(arguments.video, whole), check=True)
    seconds = time.monotonic() - start
    different = 0
    for number in range(arguments.rounds):
      broken = Path(folder) / f"broken-{number}"
      kills = interrupt_until_done(arguments.video, broken, seconds, rng)
      same = digests(broken) == digests(whole)
      different += not same
      print(
        f"round {number}: {kills} kills, bytes {'same' if same else 'DIFFER'}"
      )
  return 1 if different else 0


if __name__ == "__main__":
  sys.exit(main())
