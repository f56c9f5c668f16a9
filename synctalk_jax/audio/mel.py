"""The mel spectrogram that the AVE encoder reads.

Constants and order of operations are those of Wav2Lip and of SyncTalk's AVE
encoder, so that weights trained on either fit: pre-emphasis, magnitude STFT,
Slaney mel bins, decibels, a linear map to [-4, 4].
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SAMPLE_RATE = 16_000
HOP_LENGTH = 200
FRAME_RATE = SAMPLE_RATE // HOP_LENGTH
NUM_BINS = 80

_WINDOW_LENGTH = 800
_LOWEST_HZ = 55.0
_HIGHEST_HZ = 7_600.0
_PREEMPHASIS = 0.97
_REFERENCE_DB = 20.0
_FLOOR_DB = -100.0
_MAX_ABS = 4.0
# Frames a compiled call computes: one shape whatever the length of the
# audio, and memory that does not grow with it.
_BLOCK_FRAMES = 4_096


def mel_spectrogram(samples: np.ndarray) -> np.ndarray:
  """Computes the mel spectrogram of a whole recording.

  Frame m is centred on sample `200 m`; samples outside the recording count
  as zeros.

  Args:
    samples: [N] int16, mono, 16 kHz.

  Returns:
    [1 + N // 200, 80] float32 in [-4, 4], 80 frames per second.
  """
  emphasised = _emphasise(samples, np.pad)
  num_frames = 1 + len(samples) // HOP_LENGTH
  num_blocks = math.ceil(num_frames / _BLOCK_FRAMES)
  block_samples = _BLOCK_FRAMES * HOP_LENGTH
  overlap = _WINDOW_LENGTH - HOP_LENGTH
  padded = np.zeros(num_blocks * block_samples + overlap, np.float32)
  start = _WINDOW_LENGTH // 2
  padded[start : start + len(samples)] = emphasised[: len(padded) - start]
  blocks = [
    np.asarray(_block_mel(padded[i : i + block_samples + overlap]))
    for i in range(0, num_blocks * block_samples, block_samples)
  ]
  return np.concatenate(blocks)[:num_frames]


def mel_in_graph(samples: jax.Array) -> jax.Array:
  """`mel_spectrogram` as one traceable call, for an exported graph.

  The length may be symbolic. Memory grows with it: about 0.6 MB a second.

  Args:
    samples: [N] int16, mono, 16 kHz.

  Returns:
    [1 + N // 200, 80] float32 in [-4, 4], 80 frames per second.
  """
  half = _WINDOW_LENGTH // 2
  padded = jnp.pad(_emphasise(samples, jnp.pad), (half, half))
  last_start = samples.shape[0] // HOP_LENGTH * HOP_LENGTH
  return _block_mel(padded[: last_start + _WINDOW_LENGTH])


def _emphasise(samples: Any, pad: Callable[..., Any]) -> Any:
  """[N] int16 -> [N] float32, high frequencies raised.

  `pad` is that of NumPy or of JAX, whichever owns the array: the blocks of a
  recording are cut on the host, a graph's audio never is.
  """
  waveform = samples.astype(np.float32) / 32_768.0
  return waveform - _PREEMPHASIS * pad(waveform[:-1], (1, 0))


@jax.jit
def _block_mel(waveform: jax.Array) -> jax.Array:
  """[200 F + 600] float32, pre-emphasised -> [F, 80] float32 in [-4, 4]."""
  hops = waveform.reshape(-1, HOP_LENGTH)
  steps = _WINDOW_LENGTH // HOP_LENGTH
  num_frames = hops.shape[0] - steps + 1
  frames = jnp.concatenate(
    [hops[i : i + num_frames] for i in range(steps)], axis=1
  )
  spectrum = jnp.abs(jnp.fft.rfft(frames * _hann_window()))
  # Highest precision, or a GPU's TF32 would cost three decimal digits.
  mel = jnp.dot(
    spectrum, mel_filterbank().T, precision=jax.lax.Precision.HIGHEST
  )
  decibels = 20.0 * jnp.log10(jnp.maximum(1e-5, mel)) - _REFERENCE_DB
  scaled = 2 * _MAX_ABS * (decibels - _FLOOR_DB) / -_FLOOR_DB - _MAX_ABS
  return jnp.clip(scaled, -_MAX_ABS, _MAX_ABS)


def _hann_window() -> np.ndarray:
  """The periodic Hann window, [800] float32."""
  phase = 2.0 * np.pi * np.arange(_WINDOW_LENGTH) / _WINDOW_LENGTH
  return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


@functools.cache
def mel_filterbank() -> np.ndarray:
  """Triangular mel filters of unit area, [80, 401] float32.

  The scale is Slaney's (Auditory Toolbox, 1998): linear to 1 kHz, then 27
  steps to each factor of 6.4.
  """
  edges = _mel_to_hz(
    np.linspace(_hz_to_mel(_LOWEST_HZ), _hz_to_mel(_HIGHEST_HZ), NUM_BINS + 2)
  )
  bins = np.linspace(0.0, SAMPLE_RATE / 2, _WINDOW_LENGTH // 2 + 1)
  low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
  rising = (bins - low) / (centre - low)
  falling = (high - bins) / (high - centre)
  triangles = np.maximum(0.0, np.minimum(rising, falling))
  return (triangles * 2.0 / (high - low)).astype(np.float32)


_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_START_HZ = 1_000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27.0


def _hz_to_mel(hertz: float) -> float:
  if hertz < _LOG_START_HZ:
    return hertz / _LINEAR_HZ_PER_MEL
  return _LOG_START_MEL + math.log(hertz / _LOG_START_HZ) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
  logarithmic = _LOG_START_HZ * np.exp(_LOG_STEP * (mel - _LOG_START_MEL))
  return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)
