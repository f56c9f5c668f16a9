"""Checkpoints: state and position in the data, saved and read together."""

from typing import Any

import grain
import jax
from orbax.checkpoint import v1 as ocp

from input_pipeline.errors import InputError
from synctalk_jax import network
from synctalk_jax.run_folder import Run
from synctalk_jax.train_state import TrainState


class Checkpoints:
  """The checkpoints of a run that is being trained."""

  def __init__(self, run: Run, keep: int):
    """Opens the folder; checkpoints that a kill left half-written are removed.

    Args:
      run: the run.
      keep: how many of the newest stay.
    """
    self._checkpointer = ocp.training.Checkpointer(
      run.checkpoints,
      # Which steps are saved is the trainer's to say.
      save_decision_policy=(
        ocp.training.save_decision_policies.FixedIntervalPolicy(1)
      ),
      preservation_policy=ocp.training.preservation_policies.LatestN(keep),
      cleanup_tmp_directories=True,
    )

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *exc_info: object) -> None:
    self._checkpointer.close()

  def save(self, state: TrainState, data: grain.DatasetIterator) -> None:
    """Saves in the background; waits for the save before, if it still runs."""
    self._checkpointer.save_checkpointables_async(
      int(state.step), {"state": state, "data": data}
    )

  def restore(
    self, abstract_state: Any, data: grain.DatasetIterator
  ) -> TrainState | None:
    """Restores the newest checkpoint.

    Args:
      abstract_state: the state's shapes, dtypes and shardings.
      data: the iterator; set to where it stood.

    Returns:
      The state, or None if nothing was saved yet.
    """
    if self._checkpointer.latest is None:
      return None
    restored = self._checkpointer.load_checkpointables(
      self._checkpointer.latest,
      {"state": abstract_state, "data": data},
    )
    return restored["state"]


def restore_for_inference(run: Run) -> tuple[int, Any]:
  """Reads the averaged weights of the newest checkpoint, and no more.

  Args:
    run: from `run_folder.load`.

  Returns:
    The step they were saved at and the network's variables, on the default
    device.

  Raises:
    InputError: the run has no checkpoint.
  """
  if not run.checkpoints.is_dir():
    raise InputError(_no_checkpoint(run))
  partial = ocp.options.PyTreeOptions(
    loading=ocp.options.PyTreeOptions.Loading(partial_load=True)
  )
  with (
    ocp.Context(pytree_options=partial),
    ocp.training.Checkpointer(run.checkpoints) as checkpointer,
  ):
    latest = checkpointer.latest
    if latest is None:
      raise InputError(_no_checkpoint(run))
    restored = checkpointer.load_checkpointables(
      latest, {"state": {"ema": abstract_variables(run.spec)}}
    )
  return latest.step, restored["state"]["ema"]


def abstract_variables(spec: network.NetworkSpec) -> Any:
  """Shapes, dtypes and single-device shardings of a network's variables."""
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])

  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    jax.eval_shape(lambda: network.init_variables(spec, 0)),
  )


def _no_checkpoint(run: Run) -> str:
  return (
    f"{run.folder} has no checkpoint yet; run python -m synctalk_jax.train "
    f"--workdir {run.folder} until it has saved one"
  )
