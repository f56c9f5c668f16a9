"""How good a drawn face is: numbers, each with its definition."""

import cv2
import numpy as np

_SSIM_SIGMA = 1.5
# Weights beyond 3.5 sigma are left out: an 11x11 window.
_SSIM_WINDOW = 11


def psnr(first: np.ndarray, second: np.ndarray) -> float:
  """Peak signal-to-noise ratio in dB.

  Args:
    first: uint8, any shape.
    second: uint8, the same shape.

  Returns:
    10 log10(255^2 / mean squared error); infinity for equal pictures.
  """
  difference = first.astype(np.float64) - second
  error = np.mean(difference**2)
  return float(10 * np.log10(255.0**2 / error)) if error else float("inf")


def ssim(first: np.ndarray, second: np.ndarray) -> float:
  """Structural similarity (Wang et al., IEEE TIP 2004).

  Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, the mean over
  channels and over all pixels whose window lies inside the picture.

  Args:
    first: [H, W, C] uint8, sides of 11 or more.
    second: the same shape.

  Returns:
    1 for equal pictures, down to -1.
  """
  a, b = first.astype(np.float64), second.astype(np.float64)
  mean_a, mean_b = _blur(a), _blur(b)
  variance_a = _blur(a * a) - mean_a**2
  variance_b = _blur(b * b) - mean_b**2
  covariance = _blur(a * b) - mean_a * mean_b
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
  luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
  structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
  edge = _SSIM_WINDOW // 2
  return float((luminance * structure)[edge:-edge, edge:-edge].mean())


def _blur(image: np.ndarray) -> np.ndarray:
  return cv2.GaussianBlur(image, (_SSIM_WINDOW, _SSIM_WINDOW), _SSIM_SIGMA)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
  """Pearson's correlation of two series; 0 if one of them is constant."""
  a, b = first - first.mean(), second - second.mean()
  norm = np.sqrt((a * a).sum() * (b * b).sum())
  return float((a * b).sum() / norm) if norm else 0.0


def lag_frames(truth: np.ndarray, drawn: np.ndarray, most: int = 8) -> int:
  """By how many frames the drawn mouth follows the true one.

  Args:
    truth: [N] the true series.
    drawn: [N] the drawn one.
    most: largest lag looked at, either way.

  Returns:
    The shift at which the two correlate best; positive if the drawn mouth is
    late. Of equal ones the smallest.
  """
  most = min(most, len(truth) // 2)
  best, best_shift = -np.inf, 0
  for shift in sorted(range(-most, most + 1), key=abs):
    late = drawn[max(shift, 0) : len(drawn) + min(shift, 0)]
    early = truth[max(-shift, 0) : len(truth) - max(shift, 0)]
    value = correlation(early, late)
    if value > best + 1e-9:
      best, best_shift = value, shift
  return best_shift
