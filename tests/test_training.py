"""Runs that are broken off go on as if nothing had happened."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from orbax.checkpoint import v1 as ocp
from prepared_data import make_data

from configs import default
from input_pipeline import manifest as manifest_lib
from synctalk_jax import (
  held_out,
  network,
  optim,
  run_folder,
  train,
  train_state,
  trainer,
)
from synctalk_jax.checkpoint import restore_for_inference

_REPOSITORY = Path(__file__).resolve().parents[1]
_STEPS = 6
_SETTINGS = {
  "data.crop_size": 88,
  "audio.width": 2,
  "model.width": 2,
  "train.steps": _STEPS,
  "train.schedule": "constant",
  "train.warmup_steps": 3,
  "train.log_every": 1,
  "train.eval_every": 1_000,
  "train.checkpoint_every": 1,
  "train.keep_checkpoints": 100,
}


@pytest.fixture(scope="module", autouse=True)
def compile_cache(tmp_path_factory):
  """The same step is compiled once, also for the processes started here."""
  options = {
    "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
  }
  before = {key: getattr(jax.config, key) for key in options}
  compilation_cache.reset_cache()
  for key, value in options.items():
    jax.config.update(key, value)
  yield {key.upper(): str(value) for key, value in options.items()}
  for key, value in before.items():
    jax.config.update(key, value)
  compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp("prepared") / "data"
  make_data(folder, talking=True)
  return folder


def _config(data, **overrides):
  config = default.get_config()
  config.update_from_flattened_dict(_SETTINGS | {"data.path": str(data)})
  config.train.update(overrides)
  return config


def _argv(data, workdir, **overrides):
  settings = _SETTINGS | {"data.path": data}
  settings |= {f"train.{key}": value for key, value in overrides.items()}
  return [
    f"--config={_REPOSITORY / 'configs/ave.py'}",
    f"--workdir={workdir}",
    *(f"--config.{key}={value}" for key, value in settings.items()),
  ]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, data):
  return trainer.fit(_config(data), tmp_path_factory.mktemp("unbroken") / "run")


def _checkpoint(run, step):
  """The arrays of a checkpoint and its position in the data."""
  folder = run.checkpoints / str(step)
  tx = optim.make_optimizer(default.get_config().train)
  device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
    jax.eval_shape(lambda: train_state.create(run.spec, tx, 0)),
  )
  state = ocp.load_checkpointables(folder, {"state": abstract})["state"]
  arrays = {
    jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state)
  }
  position = b"".join(
    path.read_bytes() for path in sorted((folder / "data").rglob("*.json"))
  )
  return arrays, position


def _assert_same_checkpoint(run, other, step):
  (arrays, position), (expected, expected_position) = (
    _checkpoint(run, step),
    _checkpoint(other, step),
  )
  assert arrays.keys() == expected.keys()
  for part in ("step", "params/", "batch_stats/", "opt_state/", "ema/"):
    assert any(key.startswith(part) for key in arrays), part
  for key, array in arrays.items():
    np.testing.assert_array_equal(array, expected[key], err_msg=key)
  assert position == expected_position != b""


def _losses(run):
  lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
  return [
    {key: line[key] for key in line if key != "samples_per_second"}
    for line in lines
    if "loss" in line
  ]


def test_a_run_leaves_checkpoints_metrics_and_pictures(unbroken):
  saved = {int(path.name) for path in unbroken.checkpoints.iterdir()}
  assert saved == set(range(1, _STEPS + 1))
  losses = _losses(unbroken)
  assert [line["step"] for line in losses] == list(range(1, _STEPS + 1))
  assert losses[-1]["loss"] < losses[0]["loss"]
  assert [line["lr"] for line in losses[:5]] == pytest.approx(
    [0, 1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3], abs=1e-6
  )
  last = json.loads(unbroken.metrics.read_text().splitlines()[-1])
  assert last["step"] == _STEPS
  assert 0 < last["eval_pixel"] < 0.5
  assert [path.name for path in unbroken.samples.iterdir()] == [
    "step_0000006.png"
  ]


def test_a_run_goes_on_bit_for_bit(unbroken, data, tmp_path):
  """Also: what is saved while training runs on is what it was at that step."""
  run = trainer.fit(_config(data, steps=3), tmp_path / "run")
  _assert_same_checkpoint(run, unbroken, 3)
  run = trainer.fit(_config(data), tmp_path / "run")
  _assert_same_checkpoint(run, unbroken, _STEPS)
  assert _losses(run) == _losses(unbroken)


def test_a_killed_run_goes_on_bit_for_bit(
  unbroken, data, tmp_path, compile_cache
):
  workdir = tmp_path / "run"
  with subprocess.Popen(
    [sys.executable, "-m", "synctalk_jax.train", *_argv(data, workdir)],
    cwd=_REPOSITORY,
    env=os.environ | compile_cache,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  ) as process:
    try:
      for _ in range(6_000):
        if (workdir / "checkpoints" / "1").is_dir():
          break
        with contextlib.suppress(subprocess.TimeoutExpired):
          pytest.fail(f"ended with {process.wait(timeout=0.05)}")
    finally:
      process.kill()
  assert process.returncode == -signal.SIGKILL
  assert (workdir / "checkpoints" / "1").is_dir()
  assert not (workdir / "checkpoints" / str(_STEPS)).exists()
  run = trainer.fit(_config(data), workdir)
  _assert_same_checkpoint(run, unbroken, _STEPS)
  assert _losses(run) == _losses(unbroken)


def test_inference_reads_the_averaged_weights_alone(unbroken):
  run = run_folder.load(unbroken.folder)
  step, variables = restore_for_inference(run)
  assert step == _STEPS
  arrays, _ = _checkpoint(unbroken, _STEPS)
  flat = flax.traverse_util.flatten_dict(variables, sep="/")
  assert flat.keys() == {
    key.removeprefix("ema/") for key in arrays if key.startswith("ema/")
  }
  for key, array in flat.items():
    np.testing.assert_array_equal(array, arrays[f"ema/{key}"])
    assert len(array.sharding.device_set) == 1
  kernel = "params/unet/Conv_1/kernel"
  assert (flat[kernel] != arrays[kernel]).any()
  model = network.build(run.spec)
  shapes = jax.eval_shape(
    model.apply, variables, *network.example_inputs(run.spec, 3)
  )
  assert shapes.shape == (3, 80, 80, 3)


def _cheap_step(bad_step):
  """A step without a network, whose loss is NaN at `bad_step`."""

  def make(model, tx, config):
    def step(state, batch):
      loss = jnp.where(state.step + 1 == bad_step, jnp.nan, 0.5)
      return state.replace(step=state.step + 1), {"loss": loss}

    return step

  return make


@pytest.mark.parametrize("log_every", [1, 1_000])
def test_a_diverged_run_stops_names_the_step_and_saves_nothing_of_it(
  data, tmp_path, capsys, monkeypatch, log_every
):
  monkeypatch.setattr(trainer, "make_train_step", _cheap_step(4))
  workdir = tmp_path / "run"
  argv = ["train", *_argv(data, workdir, log_every=log_every)]
  assert train.main(argv) == 3
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith("error: the loss is nan at step 4; lower --config.")
  saved = {path.name for path in (workdir / "checkpoints").iterdir()}
  assert saved == {"1", "2", "3"}


def test_a_tail_without_a_face_is_not_looked_at(data, tmp_path, monkeypatch):
  manifest = manifest_lib.load(data)
  assert held_out.has_frames(manifest)
  index = manifest_lib.load_index(manifest, "eval")
  index.valid[:] = False
  monkeypatch.setattr(held_out, "load_index", lambda *_: index)
  assert not held_out.has_frames(manifest)
