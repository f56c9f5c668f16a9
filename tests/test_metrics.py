"""Metrics against scikit-image and hand-worked cases."""

import numpy as np
import pytest

from synctalk_jax import metrics


def _pictures():
  rng = np.random.default_rng(0)
  first = rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)
  noise = rng.integers(-30, 31, first.shape)
  return first, np.clip(first + noise, 0, 255).astype(np.uint8)


def test_psnr_by_hand():
  black = np.zeros((4, 4, 3), np.uint8)
  assert metrics.psnr(black, black + 1) == pytest.approx(48.1308, abs=1e-4)
  assert metrics.psnr(black, black) == float("inf")


def test_psnr_and_ssim_equal_scikit_image():
  oracle = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
  first, second = _pictures()
  assert metrics.psnr(first, second) == pytest.approx(
    oracle.peak_signal_noise_ratio(first, second), abs=1e-9
  )
  assert metrics.ssim(first, second) == pytest.approx(
    oracle.structural_similarity(
      first,
      second,
      channel_axis=2,
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
    ),
    abs=1e-9,
  )


def test_correlation_by_hand():
  series = np.array([0.0, 1.0, 2.0, 5.0])
  assert metrics.correlation(series, 3 * series + 7) == pytest.approx(1.0)
  assert metrics.correlation(series, -series) == pytest.approx(-1.0)
  assert metrics.correlation(series, np.ones(4)) == 0.0


@pytest.mark.parametrize("lag", [-3, 0, 2])
def test_lag_is_found_with_its_sign(lag):
  series = np.random.default_rng(1).normal(size=200).cumsum()
  drawn = np.roll(series, lag)
  assert metrics.lag_frames(series, drawn) == lag
