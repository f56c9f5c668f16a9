"""The training run: build, restore, repeat the step, save."""

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import ml_collections
from tqdm import tqdm

from input_pipeline import dataset
from input_pipeline import manifest as manifest_lib
from synctalk_jax import (
  config as config_lib,
)
from synctalk_jax import (
  held_out,
  network,
  optim,
  run_folder,
  runtime,
  sharding,
  train_state,
)
from synctalk_jax.checkpoint import Checkpoints
from synctalk_jax.metric_writer import MetricWriter
from synctalk_jax.train_step import make_train_step


class TrainingDivergedError(RuntimeError):
  """The loss is no number any more."""


def fit(config: ml_collections.ConfigDict, workdir: Path) -> run_folder.Run:
  """Trains up to `config.train.steps`, from the newest checkpoint if any.

  Args:
    config: as `configs/default.py` lays it out.
    workdir: folder of the run; made if missing.

  Returns:
    The run.

  Raises:
    InputError: config, data and folder do not fit each other.
    TrainingDivergedError: the loss became NaN or infinite.
  """
  config_lib.validate(config, jax.device_count())
  manifest = manifest_lib.load(config.data.path)
  data = iter(
    dataset.train_dataset(
      manifest,
      config.train.batch_size,
      config.seed,
      jax.process_index(),
      jax.process_count(),
    )
  )
  spec = run_folder.network_spec(config, manifest)
  model = network.build(spec, config_lib.compute_dtype(config.model.dtype))
  mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp)
  observer = None
  if held_out.has_frames(manifest):
    observer = held_out.HeldOut(model, manifest, config.train, mesh)
  # All data are checked before the folder is made.
  run = run_folder.open_for_training(workdir, config, manifest)
  tx = optim.make_optimizer(config.train)

  def init() -> train_state.TrainState:
    return train_state.create(spec, tx, config.seed)

  abstract = jax.eval_shape(init)
  shardings = sharding.state_shardings(abstract, mesh)
  step_fn = jax.jit(
    make_train_step(model, tx, config.train),
    donate_argnums=0,
    out_shardings=(shardings, sharding.replicated(mesh)),
  )
  with Checkpoints(run, config.train.keep_checkpoints) as checkpoints:
    state = checkpoints.restore(_with_shardings(abstract, shardings), data)
    if state is None:
      state = _init_jit(init, shardings)()
    _announce(run, state, config, manifest)
    _loop(run, config.train, state, step_fn, data, mesh, checkpoints, observer)
  return run


def _loop(run, train, state, step_fn, data, mesh, checkpoints, observer):
  """Draws a batch, steps, logs, looks at held-out frames, saves.

  Saving comes last: a checkpoint holds the position after the batch that its
  state has learned from, so that going on draws the very next one.
  """
  start = int(state.step)
  # Closed before an error is reported: its line comes below the bar.
  with (
    contextlib.closing(MetricWriter(run.metrics, start)) as writer,
    tqdm(
      total=train.steps, initial=start, desc="train", unit="step", smoothing=0.1
    ) as bar,
  ):
    pending = None
    for step in range(start + 1, train.steps + 1):
      batch = sharding.to_devices(next(data), mesh)
      state, metrics = step_fn(state, batch)
      if pending is not None:
        # One step behind, so that the device never waits for the host.
        _check_finite(*pending)
      pending = (step, metrics)
      bar.update()
      last = step == train.steps
      if step % train.log_every == 0 or last:
        rate = _samples_per_second(bar, train.batch_size)
        _check_finite(step, metrics)
        writer.write(step, {**metrics, "samples_per_second": rate})
        bar.set_postfix_str(
          f"loss {float(metrics['loss']):.4f}, {rate:.1f} samples/s"
        )
      if observer is not None and (step % train.eval_every == 0 or last):
        writer.write(step, observer.metrics(state.ema))
        if jax.process_index() == 0:
          observer.save_picture(state.ema, run.samples / f"step_{step:07d}.png")
      if step % train.checkpoint_every == 0 or last:
        _check_finite(step, metrics)
        checkpoints.save(state, data)


def _samples_per_second(bar: tqdm, batch_size: int) -> float:
  return (bar.format_dict["rate"] or 0.0) * batch_size


def _check_finite(step: int, metrics: dict[str, jax.Array]) -> None:
  loss = float(metrics["loss"])
  if not math.isfinite(loss):
    raise TrainingDivergedError(
      f"the loss is {loss} at step {step}; lower --config.train.lr or "
      "--config.train.grad_clip and run again: it goes on from the last "
      "checkpoint"
    )


def _init_jit(init: Callable[[], Any], shardings: Any) -> Callable[[], Any]:
  options = None
  if jax.default_backend() == "cpu":
    # It runs once, and would take half a minute to optimize.
    options = {"xla_backend_optimization_level": 0}
  return jax.jit(init, out_shardings=shardings, compiler_options=options)


def _with_shardings(abstract: Any, shardings: Any) -> Any:
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    abstract,
    shardings,
  )


def _announce(run, state, config, manifest) -> None:
  params = sum(x.size for x in jax.tree.leaves(state.params))
  done = int(state.step)
  print(
    f"{config.model.name}, width {config.model.width}, crop "
    f"{run.spec.crop_size}: {params:,} parameters on "
    f"{runtime.describe_devices()}, "
    f"{config_lib.compute_dtype(config.model.dtype)}"
  )
  print(
    f"{manifest.num_records('train'):,} frames to learn from, "
    f"{manifest.num_records('eval'):,} held out; steps {done:,} to "
    f"{config.train.steps:,}"
  )
