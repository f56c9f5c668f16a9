"""Learning rate, Adam and the average of the weights."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax


def make_schedule(train: ml_collections.ConfigDict) -> optax.Schedule:
  """Warm-up from zero, then constant or down to zero along a cosine.

  Args:
    train: `config.train`.

  Returns:
    step -> learning rate.
  """
  warmup = min(train.warmup_steps, train.steps)
  if train.schedule == "constant":
    return optax.schedules.join_schedules(
      [
        optax.schedules.linear_schedule(0.0, train.lr, warmup),
        optax.schedules.constant_schedule(train.lr),
      ],
      [warmup],
    )
  return optax.schedules.warmup_cosine_decay_schedule(
    0.0, train.lr, warmup, max(train.steps, warmup + 1)
  )


def make_optimizer(
  train: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """Adam (Kingma and Ba, 2015) behind an optional limit of the norm."""
  # A limit or none, the state has one structure: a run may go on with another.
  limit = (
    optax.clip_by_global_norm(train.grad_clip)
    if train.grad_clip
    else optax.identity()
  )
  return optax.chain(limit, optax.adam(make_schedule(train)))


def update_average(ema: Any, new: Any, decay: float, step: jax.Array) -> Any:
  """Moves the average towards the newest weights.

  Args:
    ema: the averages so far.
    new: the newest values.
    decay: share of the old average that stays, in [0, 1).
    step: int32, steps taken before this one.

  Returns:
    The new averages. Early on the share is (1 + step) / (10 + step) at most,
    so that the random initial weights are soon forgotten.
  """
  share = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
  return optax.incremental_update(new, ema, 1.0 - share)
