"""Many devices compute what one computes, and arrays lie where they should."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from synctalk_jax import sharding

_REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
  """Three float64 steps on one device, on eight, and with split parameters."""
  path = tmp_path_factory.mktemp("float64") / "steps.npz"
  environment = os.environ | {
    "JAX_ENABLE_X64": "1",
    "PYTHONPATH": str(_REPOSITORY),
    # Most of the time is compilation.
    "XLA_FLAGS": os.environ["XLA_FLAGS"]
    + " --xla_backend_optimization_level=0",
  }
  subprocess.run(
    [sys.executable, _REPOSITORY / "tests/float64_steps.py", path],
    env=environment,
    check=True,
    timeout=300,
  )
  with np.load(path) as arrays:
    return dict(arrays)


def _state(steps, name):
  prefix = f"{name} state"
  return {
    key.removeprefix(prefix): array
    for key, array in steps.items()
    if key.startswith(prefix)
  }


@pytest.mark.parametrize("name", ["eight", "fsdp"])
def test_many_devices_equal_one(steps, name):
  one, many = _state(steps, "one"), _state(steps, name)
  assert len(one) > 300
  assert set(one) == set(many)
  for key, expected in one.items():
    assert expected.dtype in (np.float64, np.int32), key
    # AVE's biases, before BatchNorm, have no gradient but its rounding, which
    # Adam divides by 1e-8; the running means follow them.
    no_gradient = "['ave']" in key
    np.testing.assert_allclose(
      many[key],
      expected,
      rtol=1e-9,
      atol=1e-9 if no_gradient else 1e-12,
      err_msg=key,
    )
  np.testing.assert_allclose(
    steps[f"{name} losses"], steps["one losses"], rtol=1e-12
  )
  assert len(set(steps["one losses"].tolist())) == 3


def test_only_fsdp_splits_arrays(steps):
  assert steps["one split"] == steps["eight split"] == 0
  assert steps["fsdp split"] > 50


def test_a_mesh_takes_the_devices_that_are_left():
  assert dict(sharding.make_mesh(-1, 1).shape) == {"data": 8, "fsdp": 1}
  assert dict(sharding.make_mesh(-1, 2).shape) == {"data": 4, "fsdp": 2}


def test_large_arrays_are_split_along_their_last_divisible_dimension():
  mesh = sharding.make_mesh(4, 2)
  shapes = {
    "kernel": (3, 3, 128, 64),
    "to_rgb": (3, 3, 8_192, 3),
    "odd": (301, 301),
    "small": (64, 64),
    "scalar": (),
  }
  state = {k: jax.ShapeDtypeStruct(v, np.float32) for k, v in shapes.items()}
  specs = {
    key: value.spec
    for key, value in sharding.state_shardings(state, mesh).items()
  }
  assert specs == {
    "kernel": PartitionSpec(None, None, None, "fsdp"),
    "to_rgb": PartitionSpec(None, None, "fsdp"),
    "odd": PartitionSpec(),
    "small": PartitionSpec(),
    "scalar": PartitionSpec(),
  }
  whole = sharding.state_shardings(state, sharding.make_mesh(8, 1))
  assert {value.spec for value in whole.values()} == {PartitionSpec()}


@pytest.mark.parametrize("shape", [(8, 1), (4, 2)])
def test_every_device_gets_its_part_of_the_batch(shape):
  batch = {"crop": np.arange(16 * 3, dtype=np.uint8).reshape(16, 3)}
  crop = sharding.to_devices(batch, sharding.make_mesh(*shape))["crop"]
  assert crop.dtype == np.uint8
  parts = {
    tuple(np.asarray(part.data).ravel()) for part in crop.addressable_shards
  }
  assert parts == {tuple(rows.ravel()) for rows in np.split(batch["crop"], 8)}
