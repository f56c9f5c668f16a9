"""Template walk, audio windows and the paste, without a trained network."""

import numpy as np
import pytest

from synctalk_jax.renderer import ping_pong


def test_ping_pong_by_hand():
  np.testing.assert_array_equal(
    ping_pong(10, 4), [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
  )
  np.testing.assert_array_equal(ping_pong(3, 1), [0, 0, 0])
  np.testing.assert_array_equal(ping_pong(3, 8), [0, 1, 2])


@pytest.mark.parametrize("length", [1, 2, 7])
def test_ping_pong_never_jumps(length):
  walk = ping_pong(100, length)
  assert set(walk.tolist()) == set(range(length))
  assert np.abs(np.diff(walk)).max(initial=0) <= 1
