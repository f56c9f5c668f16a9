"""From a config file and its overrides to checked values."""

import difflib
import inspect
import math
import re
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from configs import default
from input_pipeline.errors import InputError
from synctalk_jax.audio.features import ENCODERS
from synctalk_jax.models.unet import level_sizes
from synctalk_jax.network import MODELS

_CHOICES = {
  "audio.encoder": ENCODERS,
  "model.name": MODELS,
  "model.dtype": ("auto", "float32", "bfloat16"),
  "train.schedule": ("constant", "cosine"),
  "train.loss": ("l1", "l2"),
}
_POSITIVE = (
  "audio.width",
  "model.width",
  "train.steps",
  "train.batch_size",
  "train.lr",
  "train.log_every",
  "train.eval_every",
  "train.checkpoint_every",
  "train.keep_checkpoints",
  "mesh.fsdp",
)
_NOT_NEGATIVE = ("train.warmup_steps", "train.grad_clip", "train.mouth_weight")


def validate(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Checks every value and every pair that must fit.

  Args:
    config: as `configs/default.py` lays it out.
    num_devices: devices of all processes.

  Raises:
    InputError: names the key, what was found and what was expected.
  """
  values = flatten(config)
  check_keys(values)
  for key in flatten(default.get_config()):
    if key not in values:
      raise InputError(
        f"the recipe has no config.{key}; start it from "
        "configs.default.get_config()"
      )
  for key, choices in _CHOICES.items():
    if values[key] not in choices:
      raise InputError(
        f"--config.{key}={values[key]!r}; expected one of: {', '.join(choices)}"
      )
  for key in _POSITIVE:
    if not 0 < values[key] < math.inf:
      raise InputError(f"--config.{key}={values[key]}; expected more than 0")
  for key in _NOT_NEGATIVE:
    if not 0 <= values[key] < math.inf:
      raise InputError(f"--config.{key}={values[key]}; expected 0 or more")
  if not 0 <= config.seed < 2**32:
    raise InputError(
      f"--config.seed={config.seed}; expected 0 <= seed < {2**32}"
    )
  if not 0 <= values["train.ema_decay"] < 1:
    raise InputError(
      f"--config.train.ema_decay={values['train.ema_decay']}; expected 0 <= "
      "decay < 1"
    )
  if not config.data.path:
    raise InputError(
      "no data given; pass --config.data.path=DATA, the folder that python -m "
      "input_pipeline.prepare made"
    )
  try:
    level_sizes(config.data.crop_size)
  except ValueError as error:
    raise InputError(f"--config.data.crop_size: {error}") from error
  _validate_mesh(config, num_devices)


def check_keys(keys: Iterable[str]) -> None:
  """Refuses a key that does not exist.

  Args:
    keys: such as "train.lr".

  Raises:
    InputError: names the nearest key.
  """
  known = list(flatten(default.get_config()))
  for key in keys:
    if key not in known:
      nearest = difflib.get_close_matches(key, known, 1, 0.0)[0]
      raise InputError(
        f"no config key {key!r}; the nearest is --config.{nearest}, python -m "
        "synctalk_jax.train --help lists all"
      )


def _validate_mesh(config: ml_collections.ConfigDict, num_devices: int) -> None:
  fsdp, batch = config.mesh.fsdp, config.train.batch_size
  if num_devices % fsdp:
    raise InputError(
      f"--config.mesh.fsdp={fsdp} does not divide the {num_devices} devices; "
      "1 keeps the parameters whole on each"
    )
  data = num_devices // fsdp if config.mesh.data == -1 else config.mesh.data
  if data * fsdp != num_devices:
    raise InputError(
      f"mesh of data {data} x fsdp {fsdp} is {data * fsdp} devices, but there "
      f"are {num_devices}; --config.mesh.data=-1 takes all"
    )
  if batch % num_devices:
    raise InputError(
      f"--config.train.batch_size={batch} does not divide by {num_devices} "
      f"devices; choose a multiple, such as "
      f"{max(1, round(batch / num_devices)) * num_devices}"
    )


def compute_dtype(name: str) -> Any:
  """The type that `config.model.dtype` names on this machine."""
  if name == "auto":
    # XLA:CPU emulates bfloat16 convolutions, several times slower.
    name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
  return jnp.dtype(name)


def flatten(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """{"train.lr": 0.001, ...}, sorted by key."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
    else:
      flat[key] = value
  return flat


def describe_keys(config: ml_collections.ConfigDict) -> str:
  """A line for each key: its flag, this config's value, what it means."""
  comments = dict(
    re.findall(
      r"^\s*([\w.]+) = [^#\n]*#\s*(.*)$",
      inspect.getsource(default.get_config),
      flags=re.MULTILINE,
    )
  )
  lines = []
  for key, value in flatten(config).items():
    comment = comments.get(key) or comments.get(f"config.{key}", "")
    lines.append(f"  --config.{key}={value}".ljust(42) + f"  {comment}")
  return "\n".join(lines)
