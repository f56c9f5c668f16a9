"""The steps that training, compile-only mode and benchmarks share."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import optax

from synctalk_jax import network, optim
from synctalk_jax.losses import pixel_loss, target_of
from synctalk_jax.train_state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


def make_train_step(
  model: network.TalkingFace,
  tx: optax.GradientTransformation,
  train: ml_collections.ConfigDict,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
  """Builds the pure function that training repeats.

  Args:
    model: the network.
    tx: the optimizer.
    train: `config.train`.

  Returns:
    (state, batch) -> (state, metrics). A batch has `crop` [B, S, S, 3]
    uint8, `audio` [B, A, F] float32, `audio_starts` [B, R] int32 and
    `landmarks` [B, 478, 2] float32 in pixels of the crop.
  """
  schedule = optim.make_schedule(train)

  def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    def loss_fn(params: Any) -> tuple[jax.Array, tuple[Metrics, Any]]:
      prediction, updates = model.apply(
        {"params": params, "batch_stats": state.batch_stats},
        batch["crop"],
        batch["audio"],
        batch["audio_starts"],
        train=True,
        mutable=["batch_stats"],
      )
      loss, parts = pixel_loss(
        prediction,
        target_of(batch["crop"]),
        batch["landmarks"],
        kind=train.loss,
        mouth_weight=train.mouth_weight,
      )
      return loss, (parts, updates["batch_stats"])

    (loss, (parts, batch_stats)), grads = jax.value_and_grad(
      loss_fn, has_aux=True
    )(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    newest = {"params": params, "batch_stats": batch_stats}
    metrics = {
      "loss": loss,
      **parts,
      "grad_norm": optax.tree.norm(grads),
      "lr": schedule(state.step),
    }
    return (
      TrainState(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        ema=optim.update_average(
          state.ema, newest, train.ema_decay, state.step
        ),
      ),
      metrics,
    )

  return step


def make_predict(
  model: network.TalkingFace,
) -> Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]:
  """Builds the function that draws faces.

  Args:
    model: the network.

  Returns:
    (variables, crop, audio, audio_starts) -> [B, S - 8, S - 8, 3] float32 in
    [0, 1], from the arrays that `TalkingFace` takes.
  """

  def predict(variables, crop, audio, audio_starts):
    return model.apply(variables, crop, audio, audio_starts, train=False)

  return predict
