"""Learning rate, Adam and the averaged weights, worked by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import default
from synctalk_jax import optim


def _train(**overrides):
  train = default.get_config().train
  train.update(
    {"lr": 0.01, "steps": 110, "warmup_steps": 10, "schedule": "cosine"}
  )
  train.update(overrides)
  return train


def test_cosine_schedule():
  schedule = optim.make_schedule(_train())
  rates = {0: 0.0, 5: 0.005, 10: 0.01, 60: 0.005, 110: 0.0}
  rates[35] = 0.01 * 0.5 * (1 + math.cos(math.pi / 4))
  for step, rate in rates.items():
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-8)


def test_constant_schedule():
  schedule = optim.make_schedule(_train(schedule="constant"))
  for step, rate in {0: 0.0, 5: 0.005, 10: 0.01, 11: 0.01, 500: 0.01}.items():
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-8)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_no_warm_up_starts_at_the_highest_rate(name):
  schedule = optim.make_schedule(_train(schedule=name, warmup_steps=0))
  assert float(schedule(0)) == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_run_shorter_than_its_warm_up_reaches_the_rate_at_its_end(name):
  schedule = optim.make_schedule(_train(schedule=name, steps=4))
  rates = [float(schedule(step)) for step in range(5)]
  np.testing.assert_allclose(rates, [0, 0.0025, 0.005, 0.0075, 0.01], rtol=1e-5)


def _adam_by_hand(gradients, rates):
  value, mean, square = 1.0, 0.0, 0.0
  for k, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
    corrected = square / (1 - 0.999**k)
    value -= rate * mean / (1 - 0.9**k) / (math.sqrt(corrected) + 1e-8)
  return value


@pytest.mark.parametrize(("grad_clip", "limit"), [(0.0, 1e9), (0.5, 0.5)])
def test_adam_with_and_without_a_limit(grad_clip, limit):
  tx = optim.make_optimizer(
    _train(schedule="constant", warmup_steps=2, grad_clip=grad_clip)
  )
  params = {"a": jnp.ones(()), "b": jnp.ones(())}
  state = tx.init(params)
  # Gradients of (3, 4), (0.03, 0.04) and (-0.6, -0.8): norms 5, 0.05 and 1.
  norms = [5.0, 0.05, -1.0]
  for norm in norms:
    grads = {"a": jnp.asarray(0.6 * norm), "b": jnp.asarray(0.8 * norm)}
    updates, state = tx.update(grads, state, params)
    params = optax.apply_updates(params, updates)
  clipped = [math.copysign(min(abs(norm), limit), norm) for norm in norms]
  for key, share in (("a", 0.6), ("b", 0.8)):
    expected = _adam_by_hand([share * n for n in clipped], [0, 0.005, 0.01])
    assert float(params[key]) == pytest.approx(expected, rel=1e-5)


def test_a_run_may_go_on_with_another_limit():
  params = {"a": jnp.ones((2, 3))}
  structures = {
    jax.tree.structure(optim.make_optimizer(_train(grad_clip=x)).init(params))
    for x in (0.0, 1.0)
  }
  assert len(structures) == 1


def test_average_by_hand():
  """Shares of the old value: 1/10, 2/11, 3/12, then never above the decay."""
  ema = {"w": jnp.asarray(100.0)}
  expected = 100.0
  for step, (new, share) in enumerate(
    [(10.0, 0.1), (20.0, 2 / 11), (30.0, 0.25), (40.0, 0.3), (50.0, 0.3)]
  ):
    ema = optim.update_average(
      ema, {"w": jnp.asarray(new)}, 0.3, jnp.asarray(step, jnp.int32)
    )
    expected = share * expected + (1 - share) * new
    assert float(ema["w"]) == pytest.approx(expected, rel=1e-6)


def test_no_decay_keeps_the_newest_weights():
  ema = optim.update_average(
    {"w": jnp.asarray(3.0)}, {"w": jnp.asarray(7.0)}, 0.0, jnp.asarray(50)
  )
  assert float(ema["w"]) == 7.0
