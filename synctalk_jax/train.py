"""Trains a network on prepared data.

usage: python -m synctalk_jax.train --config CONFIG.py --workdir W
           --config.data.path=DATA [--config.KEY=VALUE ...]

  --config    recipe to train: configs/ave.py (GPU), configs/demo.py (CPU)
  --workdir   folder of the run: checkpoints, metrics, sample pictures.
              Run the same command again and it goes on where it stopped.

example:
  python -m input_pipeline.prepare --video anna.mp4 --out data/anna
  python -m synctalk_jax.train --config configs/ave.py --workdir runs/anna \\
      --config.data.path=data/anna

While it runs, look at W/samples/*.png: input, drawn and filmed, of frames
that are not learned from. A longer run needs no new start: raise
--config.train.steps and run again.

exit codes: 0 trained; 2 bad input, one line says what; 3 the loss became NaN;
130 interrupted.
"""

import sys
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from input_pipeline.errors import InputError, run_command
from synctalk_jax import config as config_lib
from synctalk_jax import runtime, trainer

EXIT_DIVERGED = 3
_DEFAULT_RECIPE = "configs/ave.py"


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit code."""
  return run_command(lambda: _run(argv or sys.argv))


def _run(argv: list[str]) -> int:
  runtime.setup()
  if {"-h", "--help", "--helpfull", "--helpshort"} & set(argv):
    recipe = _given_recipe(argv) or _DEFAULT_RECIPE
    config, _ = _parse([argv[0], f"--config={recipe}", "--workdir=."])
    print(__doc__)
    print(f"keys, with the values of {recipe}:\n")
    print(config_lib.describe_keys(config))
    return 0
  config, workdir = _parse(argv)
  try:
    run = trainer.fit(config, workdir)
  except trainer.TrainingDivergedError as error:
    print(f"error: {error}", file=sys.stderr)
    return EXIT_DIVERGED
  print(
    f"trained: {run.folder}\nnext: python -m synctalk_jax.infer --workdir "
    f"{run.folder} --data {config.data.path} --audio A.wav --out out.mp4"
  )
  return 0


def _parse(argv: list[str]) -> tuple[ml_collections.ConfigDict, Path]:
  values = flags.FlagValues()
  config_flag = config_flags.DEFINE_config_file(
    "config",
    None,
    "recipe",
    lock_config=True,
    flag_values=values,
    sys_argv=argv,
  )
  workdir_flag = flags.DEFINE_string(
    "workdir", None, "folder of the run", flag_values=values
  )
  config_lib.check_keys(
    argument.removeprefix("--config.").partition("=")[0]
    for argument in argv
    if argument.startswith("--config.")
  )
  recipe = _given_recipe(argv)
  if recipe is None:
    raise InputError(f"no recipe given; pass --config {_DEFAULT_RECIPE}")
  if not Path(recipe).is_file():
    raise InputError(f"no config file {recipe}; try --config {_DEFAULT_RECIPE}")
  try:
    rest = values(argv)
  except (ImportError, SyntaxError) as error:
    raise InputError(
      f"cannot load the recipe {recipe} ({error}); expected a Python file with "
      f"get_config(), such as {_DEFAULT_RECIPE}"
    ) from error
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as e:
    # Of an error inside a recipe the message is a whole traceback: its last
    # line is the reason.
    reason = str(e).strip(chr(34)).splitlines()[-1]
    raise InputError(f"{reason} (--help lists every key)") from e
  if len(rest) > 1:
    raise InputError(f"unexpected argument {rest[1]!r}; --help shows the usage")
  if not workdir_flag.value:
    raise InputError("no folder for the run given; pass --workdir W")
  return config_flag.value, Path(workdir_flag.value)


def _given_recipe(argv: list[str]) -> str | None:
  """The value of --config, written with or without an equals sign."""
  for argument, following in zip(argv, [*argv[1:], None], strict=True):
    if argument.startswith("--config="):
      return argument.partition("=")[2]
    if argument == "--config":
      return following
  return None


if __name__ == "__main__":
  sys.exit(main())
