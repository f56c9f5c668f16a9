"""Three training steps in float64 on several meshes, for test_sharding.py.

Adam divides by the size of a gradient: where that is zero but for rounding,
float32 parameters differ by whole steps between any two orders of summation.
In float64 the same code must agree to the last digits. A process of its own,
because the type is fixed when the modules are imported.
"""

# ruff: noqa: E402
import sys

import synctalk_jax  # noqa: F401  (before jax)

# isort: split
import jax.numpy as jnp

# Before flax reads it as the default type of parameters.
jnp.float32 = jnp.float64

# isort: split
import jax
import numpy as np

from configs import default
from synctalk_jax import network, optim, sharding, train_state
from synctalk_jax.audio import features
from synctalk_jax.train_step import make_train_step

_MESHES = {"one": (1, 1), "eight": (8, 1), "fsdp": (4, 2)}
_STEPS = 3


def _batches(spec: network.NetworkSpec) -> list[dict[str, np.ndarray]]:
  rng = np.random.default_rng(0)
  length, dim, rows = spec.window_shape
  size = spec.crop_size
  return [
    {
      "crop": rng.integers(0, 256, (8, size, size, 3), dtype=np.uint8),
      "audio": rng.uniform(-4, 4, (8, length, dim)),
      "audio_starts": np.sort(rng.integers(0, 48, (8, rows), np.int32)),
      "landmarks": rng.uniform(4, size - 4, (8, 478, 2)),
    }
    for _ in range(_STEPS)
  ]


def _train(spec, train, mesh):
  tx = optim.make_optimizer(train)

  def init():
    return train_state.create(spec, tx, 0)

  shardings = sharding.state_shardings(jax.eval_shape(init), mesh)
  step = jax.jit(
    make_train_step(network.build(spec, jnp.float64), tx, train),
    donate_argnums=0,
    out_shardings=(shardings, sharding.replicated(mesh)),
  )
  state = jax.jit(init, out_shardings=shardings)()
  losses = []
  for batch in _batches(spec):
    state, metrics = step(state, sharding.to_devices(batch, mesh))
    losses.append(float(metrics["loss"]))
  return state, losses


def main(path: str) -> None:
  """Writes every mesh's losses, arrays and number of split arrays."""
  # At this width no array is large enough.
  sharding._MIN_SIZE_TO_SPLIT = 128
  train = default.get_config().train
  train.warmup_steps = 1
  spec = network.NetworkSpec("unet", 2, 20, 2, features.audio_spec("ave", 25))
  arrays = {}
  for name, shape in _MESHES.items():
    state, losses = _train(spec, train, sharding.make_mesh(*shape))
    leaves = jax.tree_util.tree_leaves_with_path(state)
    arrays[f"{name} losses"] = np.array(losses)
    arrays[f"{name} split"] = np.array(
      sum(not leaf.sharding.is_fully_replicated for _, leaf in leaves)
    )
    for key, leaf in leaves:
      arrays[f"{name} state{jax.tree_util.keystr(key)}"] = np.asarray(leaf)
  np.savez(path, **arrays)


if __name__ == "__main__":
  main(sys.argv[1])
