"""Where arrays lie: the batch split over devices, parameters by rule."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

# Smaller arrays cost more to gather than to keep everywhere.
_MIN_SIZE_TO_SPLIT = 2**16


def make_mesh(data: int, fsdp: int) -> Mesh:
  """Lays all devices out as `data` x `fsdp`.

  Args:
    data: devices that only the batch is split over; -1 takes all that `fsdp`
      leaves.
    fsdp: devices that parameters are split over; the batch is split over
      these as well.

  Returns:
    The mesh.
  """
  if data == -1:
    data = jax.device_count() // fsdp
  # Explicit axes, jax's default, cannot run a convolution with a split
  # kernel: linen has no way to pass its output's sharding.
  return jax.make_mesh(
    (data, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2
  )


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The batch dimension over all devices."""
  return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
  """The same on every device."""
  return NamedSharding(mesh, PartitionSpec())


def state_shardings(state: Any, mesh: Mesh) -> Any:
  """Splits large arrays over `fsdp` along their last divisible dimension.

  Args:
    state: a tree of arrays or of their shapes.
    mesh: from `make_mesh`.

  Returns:
    A tree of `NamedSharding`, alike.
  """
  fsdp = mesh.shape["fsdp"]

  def rule(leaf: Any) -> NamedSharding:
    if fsdp > 1 and leaf.size >= _MIN_SIZE_TO_SPLIT:
      for axis in reversed(range(leaf.ndim)):
        if leaf.shape[axis] % fsdp == 0:
          return NamedSharding(mesh, PartitionSpec(*[None] * axis, "fsdp"))
    return replicated(mesh)

  return jax.tree.map(rule, state)


def to_devices(
  batch: dict[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Makes global arrays of this process's part of the batch."""
  sharding = batch_sharding(mesh)
  return {
    key: jax.make_array_from_process_local_data(sharding, value)
    for key, value in batch.items()
  }
