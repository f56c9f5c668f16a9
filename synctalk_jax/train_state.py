"""What training changes: arrays only."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from synctalk_jax import network


@flax.struct.dataclass
class TrainState:
  """The state of training.

  Attributes:
    step: int32, optimizer steps taken.
    params: float32 weights.
    batch_stats: float32 running mean and variance of each BatchNorm.
    opt_state: the optimizer's state.
    ema: averages of params and batch_stats, as variables of the network;
      these are evaluated, rendered and exported.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  ema: Any


def create(
  spec: network.NetworkSpec, tx: optax.GradientTransformation, seed: int
) -> TrainState:
  """Draws the initial state; traceable, so that it can be made sharded."""
  variables = network.init_variables(spec, seed)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=variables["params"],
    batch_stats=variables["batch_stats"],
    opt_state=tx.init(variables["params"]),
    # A copy: donated buffers may not appear twice.
    ema=jax.tree.map(jnp.copy, variables),
  )
