"""`python -m synctalk_jax.train`: one line for bad input, help that helps."""

import dataclasses
import sys
from pathlib import Path

import pytest
from prepared_data import make_data

from configs import default
from input_pipeline import manifest as manifest_lib
from input_pipeline import schema
from synctalk_jax import config as config_lib
from synctalk_jax import train

_RECIPE = Path(__file__).resolve().parents[1] / "configs" / "ave.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp("prepared") / "data"
  make_data(folder, talking=True)
  return folder


def _refusal(capsys, *arguments):
  """The one line on stderr of a command that ends with exit code 2."""
  assert train.main(["train", *map(str, arguments)]) == 2
  captured = capsys.readouterr()
  assert captured.out == ""
  (line,) = captured.err.splitlines()
  assert line.startswith("error: ")
  return line.removeprefix("error: ")


@pytest.fixture
def refuse(capsys, data, tmp_path):
  """Runs the command on good data but for what a test adds."""

  def run(*arguments, recipe=_RECIPE):
    line = _refusal(
      capsys,
      f"--config={recipe}",
      f"--workdir={tmp_path / 'run'}",
      f"--config.data.path={data}",
      "--config.data.crop_size=88",
      "--config.model.width=2",
      "--config.train.steps=1",
      *arguments,
    )
    assert not (tmp_path / "run").exists()
    return line

  return run


@pytest.mark.parametrize(
  ("argument", "expected"),
  [
    (
      "--config.train.stepz=3",
      "no config key 'train.stepz'; the nearest is --config.train.steps",
    ),
    ("--config.crop_size=168", "the nearest is --config.data.crop_size"),
    ("--config.zzz=1", "no config key 'zzz'; the nearest is --config."),
    ("--config.train.steps=many", "--config.train.steps=many: invalid literal"),
    ("--config.train.steps=1.5", "--config.train.steps=1.5: invalid literal"),
    ("--config.train.batch_size=12", "does not divide by 8 devices"),
    ("--config.data.crop_size=168", "--config.data.crop_size=88 or prepare"),
    ("--config.train.batch_size=64", "fewer than one batch of 64; lower"),
    ("--wrokdir=x", "Unknown command line flag 'wrokdir'"),
    ("stray", "unexpected argument 'stray'; --help shows the usage"),
  ],
)
def test_bad_arguments_are_one_line_and_leave_nothing(
  refuse, argument, expected
):
  assert expected in refuse(argument)


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ("hello world", "cannot load the recipe"),
    ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
    ("x = 1", "has no attribute 'get_config'"),
    (
      "from configs import default\n"
      "def get_config():\n"
      "  config = default.get_config()\n"
      "  config.train.stepz = 3\n"
      "  return config\n",
      "no config key 'train.stepz'; the nearest is --config.train.steps",
    ),
    (
      "from configs import default\n"
      "def get_config():\n"
      "  config = default.get_config()\n"
      "  config.train.steps = 'many'\n"
      "  return config\n",
      "TypeError: Could not override field 'steps'",
    ),
  ],
)
def test_a_bad_recipe_is_one_line(
  refuse, tmp_path, monkeypatch, text, expected
):
  # Within one process, ml_collections loads every recipe into this module.
  monkeypatch.delitem(sys.modules, "config_config", raising=False)
  recipe = tmp_path / "recipe.py"
  recipe.write_text(text)
  assert expected in refuse(recipe=recipe)


def test_a_missing_recipe_is_one_line(refuse, capsys, tmp_path):
  expected = f"no config file {tmp_path / 'no.py'}; try --config configs/ave.py"
  assert refuse(recipe=tmp_path / "no.py") == expected
  assert _refusal(capsys, "--workdir=w") == (
    "no recipe given; pass --config configs/ave.py"
  )
  assert _refusal(capsys, "--config", _RECIPE) == (
    "no folder for the run given; pass --workdir W"
  )


def test_data_that_are_not_there_or_damaged_are_one_line(
  refuse, data, tmp_path
):
  line = refuse("--config.data.path=")
  assert line.startswith("no data given; pass --config.data.path=DATA")
  line = refuse(f"--config.data.path={tmp_path}")
  assert "holds no manifest.json: expected the --out folder of" in line
  for split in ("train", "eval"):
    damaged = tmp_path / split
    manifest = make_data(damaged, talking=True)
    shard = manifest.shard_folder / manifest.splits[split][0].name
    shard.write_bytes(shard.read_bytes()[:-9])
    assert shard.name in refuse(f"--config.data.path={damaged}")


def test_shards_of_another_schema_version_are_one_line(
  refuse, tmp_path, monkeypatch
):
  other = tmp_path / "other"
  manifest = make_data(other, talking=True)
  monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
  manifest_lib.save(dataclasses.replace(manifest, folder=other))
  monkeypatch.undo()
  assert "schema version" in refuse(f"--config.data.path={other}")


def test_a_workdir_that_cannot_be_made_is_one_line(capsys, data, tmp_path):
  (tmp_path / "file").write_text("mine")
  for workdir, expected in (
    (tmp_path / "file", "holds something that is no training run"),
    (tmp_path / "file" / "run", "Not a directory"),
  ):
    line = _refusal(
      capsys,
      f"--config={_RECIPE}",
      f"--workdir={workdir}",
      f"--config.data.path={data}",
      "--config.data.crop_size=88",
      "--config.model.width=2",
    )
    assert expected in line
  assert (tmp_path / "file").read_text() == "mine"


def test_help_lists_every_key_with_the_recipe_s_values(capsys):
  assert train.main(["train", "--help"]) == 0
  text = capsys.readouterr().out
  assert text.startswith(train.__doc__)
  assert config_lib.describe_keys(default.get_config()) in text
  demo = _RECIPE.parent / "demo.py"
  for arguments in ([f"--config={demo}"], ["--config", str(demo)]):
    assert train.main(["train", *arguments, "-h"]) == 0
    text = capsys.readouterr().out
    assert f"keys, with the values of {demo}" in text
    assert "--config.data.crop_size=168" in text
