"""Every bad value is refused with its key; every key is explained."""

import importlib
from pathlib import Path

import jax.numpy as jnp
import ml_collections
import pytest

import configs
from configs import default
from input_pipeline.errors import InputError
from synctalk_jax import config as config_lib

_RECIPES = sorted(
  path.stem
  for path in Path(configs.__file__).parent.glob("*.py")
  if path.stem != "__init__"
)


def _config(**overrides):
  config = default.get_config()
  config.data.path = "data"
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in overrides.items()}
  )
  return config


@pytest.mark.parametrize("name", _RECIPES)
def test_every_recipe_is_valid_once_it_has_data(name):
  module = importlib.import_module(f"configs.{name}")
  config = module.get_config()
  config.data.path = "data"
  config_lib.validate(config, 1)
  with pytest.raises(InputError, match=r"pass --config\.data\.path=DATA"):
    config_lib.validate(module.get_config(), 1)


@pytest.mark.parametrize(
  ("key", "value", "expected"),
  [
    ("audio.encoder", "hubrt", "'hubrt'; expected one of: ave"),
    ("model.name", "unett", "'unett'; expected one of: unet"),
    ("model.dtype", "float16", "one of: auto, float32, bfloat16"),
    ("train.schedule", "linear", "one of: constant, cosine"),
    ("train.loss", "l3", "one of: l1, l2"),
    ("audio.width", 0, "0; expected more than 0"),
    ("model.width", -1, "-1; expected more than 0"),
    ("train.steps", 0, "0; expected more than 0"),
    ("train.batch_size", 0, "0; expected more than 0"),
    ("train.lr", 0.0, "0.0; expected more than 0"),
    ("train.lr", float("nan"), "nan; expected more than 0"),
    ("train.lr", float("inf"), "inf; expected more than 0"),
    ("train.log_every", 0, "0; expected more than 0"),
    ("train.eval_every", 0, "0; expected more than 0"),
    ("train.checkpoint_every", 0, "0; expected more than 0"),
    ("train.keep_checkpoints", 0, "0; expected more than 0"),
    ("mesh.fsdp", 0, "0; expected more than 0"),
    ("train.warmup_steps", -1, "-1; expected 0 or more"),
    ("train.grad_clip", -0.5, "-0.5; expected 0 or more"),
    ("train.mouth_weight", float("nan"), "nan; expected 0 or more"),
    ("train.ema_decay", 1.0, "1.0; expected 0 <= decay < 1"),
    ("train.ema_decay", -0.1, "-0.1; expected 0 <= decay < 1"),
    ("seed", -1, "-1; expected 0 <= seed < 4294967296"),
    ("data.crop_size", 256, "256 does not halve to 5"),
    ("data.crop_size", 11, "such as 328 or 168"),
    ("mesh.fsdp", 3, "3 does not divide the 8 devices; 1 keeps"),
  ],
)
def test_a_bad_value_is_refused_with_its_key(key, value, expected):
  with pytest.raises(InputError) as caught:
    config_lib.validate(_config(**{key.replace(".", "__"): value}), 8)
  message = str(caught.value)
  assert f"--config.{key}" in message
  assert expected in message
  assert "\n" not in message


@pytest.mark.parametrize(
  ("overrides", "expected"),
  [
    (
      {"train__batch_size": 12},
      "--config.train.batch_size=12 does not divide by 8 devices; choose a "
      "multiple, such as 16",
    ),
    ({"train__batch_size": 3}, "such as 8"),
    (
      {"mesh__data": 3, "mesh__fsdp": 2},
      "data 3 x fsdp 2 is 6 devices, but there are 8; --config.mesh.data=-1 "
      "takes all",
    ),
    ({"mesh__data": 0}, "is 0 devices, but there are 8"),
  ],
)
def test_values_that_do_not_fit_each_other_are_refused(overrides, expected):
  with pytest.raises(InputError) as caught:
    config_lib.validate(_config(**overrides), 8)
  assert expected in str(caught.value)


def test_meshes_that_fit_are_accepted():
  for data, fsdp in ((-1, 1), (8, 1), (4, 2), (-1, 8), (1, 8)):
    config_lib.validate(_config(mesh__data=data, mesh__fsdp=fsdp), 8)


def test_a_recipe_with_an_unknown_or_without_a_known_key_is_refused():
  config = _config()
  config.train.stepz = 3
  with pytest.raises(
    InputError, match=r"'train\.stepz'; the nearest is --config\.train\.steps"
  ):
    config_lib.validate(config, 1)
  config = _config()
  del config.train.lr
  with pytest.raises(InputError, match=r"the recipe has no config\.train\.lr"):
    config_lib.validate(config, 1)
  with pytest.raises(InputError, match="the recipe has no config"):
    config_lib.validate(ml_collections.ConfigDict(), 1)


def test_every_key_is_described_by_the_comment_on_its_line():
  lines = config_lib.describe_keys(_config(train__lr=0.5)).splitlines()
  keys = list(config_lib.flatten(default.get_config()))
  assert len(lines) == len(keys) > 20
  for line, key in zip(lines, keys, strict=True):
    flag, comment = line.split(maxsplit=1)
    assert flag.startswith(f"--config.{key}=")
    assert len(comment) > 8
  described = {line.split("=")[0].strip(): line for line in lines}
  assert described["--config.train.lr"].split(maxsplit=1) == [
    "--config.train.lr=0.5",
    "Adam's highest learning rate",
  ]
  assert described["--config.seed"].endswith("and of the order of the data")


def test_compute_types():
  assert config_lib.compute_dtype("auto") == jnp.float32
  assert config_lib.compute_dtype("bfloat16") == jnp.bfloat16
