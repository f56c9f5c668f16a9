"""Mel against librosa, windows by hand, AVE against PyTorch."""

import flax
import jax
import librosa
import numpy as np
import pytest
import scipy.signal

from synctalk_jax.audio import features, mel, windows
from synctalk_jax.audio.ave import AveEncoder
from synctalk_jax.network import gather_rows


def _speech_like(seconds: float, seed: int = 0) -> np.ndarray:
  """A sweep with noise and pauses, int16 at 16 kHz."""
  rng = np.random.default_rng(seed)
  time = np.arange(int(seconds * 16_000)) / 16_000
  tone = np.sin(2 * np.pi * (150 + 400 * time) * time)
  loud = (np.sin(2 * np.pi * 1.3 * time) > -0.4) * 0.4
  wave = loud * tone + 0.05 * rng.standard_normal(len(time))
  return (np.clip(wave, -1, 1) * 32_767).astype(np.int16)


def _librosa_mel(samples: np.ndarray) -> np.ndarray:
  wave = samples.astype(np.float64) / 32_768
  wave = scipy.signal.lfilter([1, -0.97], [1], wave)
  magnitude = np.abs(
    librosa.stft(
      wave, n_fft=800, hop_length=200, win_length=800, pad_mode="constant"
    )
  )
  bank = librosa.filters.mel(
    sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7_600
  )
  decibels = 20 * np.log10(np.maximum(1e-5, bank @ magnitude)) - 20
  return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T


@pytest.mark.filterwarnings("ignore:n_fft=800 is too large")
@pytest.mark.parametrize("num_samples", [1, 199, 200, 31_999, 48_000])
def test_mel_equals_librosa(num_samples):
  samples = _speech_like(3.0)[:num_samples]
  ours = mel.mel_spectrogram(samples)
  assert ours.shape == (1 + num_samples // 200, 80)
  np.testing.assert_allclose(ours, _librosa_mel(samples), atol=1e-4)


def test_mel_does_not_depend_on_where_blocks_end():
  rng = np.random.default_rng(0)
  samples = rng.integers(-9_000, 9_000, 53 * 16_000).astype(np.int16)
  ours = mel.mel_spectrogram(samples)
  assert len(ours) > 4_096
  np.testing.assert_allclose(ours, _librosa_mel(samples), atol=1e-4)


def test_digital_silence_is_the_lowest_value():
  assert np.all(mel.mel_spectrogram(np.zeros(4_000, np.int16)) == -4.0)


def test_window_sizes_at_25_and_20_fps():
  shape = windows.window_shape
  assert shape(features.audio_spec("ave", 25)) == (64, 80, 16)
  assert shape(features.audio_spec("ave", 20)) == (76, 80, 16)


@pytest.mark.parametrize("fps", [20, 25])
def test_rows_start_on_the_integer_grid(fps):
  spec = features.audio_spec("ave", fps)
  stream = np.arange(2_000, dtype=np.float32)[:, None].repeat(80, 1)
  for frame in (100, 101, 102, 103, 104):
    window, starts = windows.frame_window(stream, frame, 400, spec)
    rows = np.asarray(gather_rows(window[None], starts[None], 16)[0, :, 0, 0])
    expected = [80 * (frame + k) // fps - 6 for k in range(-8, 8)]
    np.testing.assert_array_equal(rows, expected)


def test_a_row_is_centred_on_its_frame():
  """Row j spans mel frames whose mean time is the middle of frame j."""
  spec = features.audio_spec("ave", 25)
  stream = (np.arange(2_000) / 80.0).astype(np.float32)[:, None].repeat(80, 1)
  errors = []
  for frame in range(100, 110):
    window, starts = windows.frame_window(stream, frame, 400, spec)
    row = gather_rows(window[None], starts[None], 16)[0, 8]
    errors.append(float(row.mean()) - (frame + 0.5) / 25)
  assert abs(np.mean(errors)) < 0.007


def test_ends_repeat_the_first_and_last_row():
  spec = features.audio_spec("ave", 25)
  rng = np.random.default_rng(0)
  stream = rng.standard_normal((81, 80)).astype(np.float32)

  def rows(frame):
    window, starts = windows.frame_window(stream, frame, 25, spec)
    return np.asarray(gather_rows(window[None], starts[None], 16)[0])

  first, last = rows(0), rows(24)
  for k in range(8):
    np.testing.assert_array_equal(first[k], first[8])
  np.testing.assert_array_equal(first[9], rows(1)[8])
  for k in range(9, 16):
    np.testing.assert_array_equal(last[k], last[8])
  # Mel frames before the recording repeat its first one.
  np.testing.assert_array_equal(first[8][:6], stream[:1].repeat(6, 0))


def test_a_frame_outside_the_clip_is_refused():
  spec = features.audio_spec("ave", 25)
  with pytest.raises(ValueError, match=r"frame 25 is not in \[0, 25\)"):
    windows.frame_window(np.zeros((81, 80), np.float32), 25, 25, spec)


def test_unknown_encoder_and_wrong_samples_are_refused():
  with pytest.raises(ValueError, match="unknown audio encoder 'avee'"):
    features.audio_spec("avee", 25)
  spec = features.audio_spec("ave", 25)
  with pytest.raises(ValueError, match="expected int16"):
    features.extract(np.zeros(10, np.float32), spec)
  with pytest.raises(ValueError, match="prepare the data again"):
    features.extract(np.zeros(10, np.int16), spec | {"row_offset": 0})


def _torch_ave(torch):
  """The published structure, written from its table of layers."""
  nn = torch.nn
  table = [
    (1, 32, 3, 1, 1, 0),
    (32, 32, 3, 1, 1, 1),
    (32, 32, 3, 1, 1, 1),
    (32, 64, 3, (3, 1), 1, 0),
    (64, 64, 3, 1, 1, 1),
    (64, 64, 3, 1, 1, 1),
    (64, 128, 3, 3, 1, 0),
    (128, 128, 3, 1, 1, 1),
    (128, 128, 3, 1, 1, 1),
    (128, 256, 3, (3, 2), 1, 0),
    (256, 256, 3, 1, 1, 1),
    (256, 512, 3, 1, 0, 0),
    (512, 512, 1, 1, 0, 0),
  ]

  class Ave(nn.Module):
    def __init__(self):
      super().__init__()
      self.convs = nn.ModuleList(
        nn.Conv2d(i, o, k, s, p) for i, o, k, s, p, _ in table
      )
      self.norms = nn.ModuleList(nn.BatchNorm2d(row[1]) for row in table)

    def forward(self, x):
      for conv, norm, row in zip(self.convs, self.norms, table, strict=True):
        y = norm(conv(x))
        x = torch.relu(y + x if row[5] else y)
      return x.flatten(1)

  return Ave()


def test_ave_equals_pytorch():
  torch = pytest.importorskip("torch", reason="needs PyTorch as the oracle")
  torch.manual_seed(0)
  oracle = _torch_ave(torch)
  for norm in oracle.norms:
    norm.running_mean.uniform_(-0.2, 0.2)
    norm.running_var.uniform_(0.5, 1.5)
    torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
  assert sum(p.numel() for p in oracle.parameters()) == 2_812_672
  params, stats = {}, {}
  for i, (conv, norm) in enumerate(
    zip(oracle.convs, oracle.norms, strict=True)
  ):
    kernel = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
    params[f"Conv_{i}"] = {
      "kernel": kernel,
      "bias": conv.bias.detach().numpy(),
    }
    params[f"BatchNorm_{i}"] = {
      "scale": norm.weight.detach().numpy(),
      "bias": norm.bias.detach().numpy(),
    }
    stats[f"BatchNorm_{i}"] = {
      "mean": norm.running_mean.numpy(),
      "var": norm.running_var.numpy(),
    }
  variables = {"params": params, "batch_stats": stats}
  rows = np.random.default_rng(0).uniform(-4, 4, (3, 16, 80))
  rows = rows.astype(np.float32)
  encoder = AveEncoder()
  initial = jax.eval_shape(
    lambda: encoder.init(jax.random.key(0), rows, train=False)
  )
  assert jax.tree.map(np.shape, flax.core.unfreeze(initial)) == jax.tree.map(
    np.shape, variables
  )
  oracle.eval()
  with torch.no_grad():
    expected = oracle(torch.tensor(rows.transpose(0, 2, 1)[:, None])).numpy()
  ours = encoder.apply(variables, rows, train=False)
  np.testing.assert_allclose(ours, expected, atol=1e-4)
