"""The U-Net against PyTorch, its exact size, and jit against eager."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synctalk_jax import network
from synctalk_jax.audio import features
from synctalk_jax.audio.ave import AveEncoder
from synctalk_jax.models.audio_branch import AudioBranch, feature_map
from synctalk_jax.models.blocks import UpBlock
from synctalk_jax.models.unet import UNet, level_sizes

_WIDTH = 4
_MAPS = {512: (32, 16, 16), 2_048: (32, 32, 32), 8_192: (256, 16, 32)}


def _make_oracle(torch):
  """The network of DESIGN section 5, its parts named as flax names them."""
  nn = torch.nn

  def block(conv, out):
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU())

  def conv_block(i, o, stride=1, padding=1):
    return block(nn.Conv2d(i, o, 3, stride, padding, bias=False), o)

  class Branch(nn.Module):
    def __init__(self, out, width, shape):
      super().__init__()
      self.shape = shape
      channels, height, columns = shape
      stride = (height // 16, columns // 16)
      widths = [width, 2 * width, 4 * width, 8 * width, out]
      inputs = [channels, *widths[:-1]]
      self.parts = nn.ModuleDict(
        {
          f"ConvBlock_{k}": conv_block(
            i, o, {0: stride, 2: 3}.get(k, 1), 0 if k == 2 else 1
          )
          for k, (i, o) in enumerate(zip(inputs, widths, strict=True))
        }
      )

    def forward(self, rows):
      x = rows.reshape(len(rows), *self.shape)
      for part in self.parts.values():
        x = part(x)
      return x

  class Oracle(nn.Module):
    def __init__(self, width, crop_size):
      super().__init__()
      self.sizes = [crop_size]
      while self.sizes[-1] > 5:
        self.sizes.append(self.sizes[-1] // 2)
      depth = len(self.sizes)
      widths = [width * min(2**level, 16) for level in range(depth)]
      last = widths[-1]
      pairs = []
      for i, o in zip([6, *widths[:-1]], widths, strict=True):
        pairs += [(i, o), (o, o)]
      pairs += [(last, last)] * 2
      parts = {}
      for k, level in enumerate(reversed(range(depth - 1))):
        size, below = self.sizes[level], self.sizes[level + 1]
        i, o = widths[level + 1], widths[level]
        kernel = 3 if size % 2 else 2
        assert (below - 1) * 2 + kernel == size
        up = nn.ConvTranspose2d(i, o, kernel, 2, bias=False)
        parts[f"UpBlock_{k}"] = block(up, o)
        pairs += [(2 * o, o), (o, o)]
      for k, (i, o) in enumerate(pairs):
        parts[f"ConvBlock_{k}"] = conv_block(i, o)
      parts["AudioBranch_0"] = Branch(last, width, (32, 16, 16))
      parts["Conv_0"] = nn.Conv2d(last, 2 * last, 1)
      parts["Conv_1"] = nn.Conv2d(width, 3, 1)
      self.parts = nn.ModuleDict(parts)

    def forward(self, image, audio):
      numbers = iter(range(100))

      def double(x):
        for _ in range(2):
          x = self.parts[f"ConvBlock_{next(numbers)}"](x)
        return x

      skips, x = [], image
      for size in self.sizes:
        x = x if x.shape[-1] == size else nn.functional.max_pool2d(x, 2)
        x = double(x)
        skips.append(x)
      fused = self.parts["Conv_0"](self.parts["AudioBranch_0"](audio))
      scale, shift = fused.chunk(2, dim=1)
      x = double(skips.pop() * (1 + scale) + shift)
      for k, skip in enumerate(reversed(skips)):
        x = self.parts[f"UpBlock_{k}"](x)
        x = double(torch.cat([x, skip], dim=1))
      return torch.sigmoid(self.parts["Conv_1"](x)[..., 4:-4, 4:-4])

  return Oracle, Branch


def _to_torch_kernel(kernel, *, transposed=False):
  order = (2, 3, 0, 1) if transposed else (3, 2, 0, 1)
  return np.asarray(kernel).transpose(order)


def _load(torch, module, params, stats):
  """Puts flax variables into the oracle; every one must find its place."""

  def put(tensor, value):
    assert tensor.shape == value.shape
    tensor.data = torch.tensor(np.ascontiguousarray(value), dtype=tensor.dtype)

  parts = getattr(module, "parts", None)
  if parts is not None:
    assert set(parts) == set(params)
    for name in parts:
      _load(torch, parts[name], params[name], stats.get(name, {}))
  elif isinstance(module, torch.nn.Sequential):
    up = isinstance(module[0], torch.nn.ConvTranspose2d)
    kernel = params["kernel"] if up else params["Conv_0"]["kernel"]
    put(module[0].weight, _to_torch_kernel(kernel, transposed=up))
    put(module[1].weight, params["BatchNorm_0"]["scale"])
    put(module[1].bias, params["BatchNorm_0"]["bias"])
    put(module[1].running_mean, stats["BatchNorm_0"]["mean"])
    put(module[1].running_var, stats["BatchNorm_0"]["var"])
  else:
    put(module.weight, _to_torch_kernel(params["kernel"]))
    put(module.bias, params["bias"])


def _random_variables(module, *inputs, seed=0):
  """Initial shapes, all values random: no scale 1, no mean 0."""
  shapes = jax.eval_shape(
    lambda: module.init(jax.random.key(0), *inputs, train=False)
  )
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    name = path[-1].key
    if name == "kernel":
      spread = 1 / np.sqrt(np.prod(leaf.shape[:-1]))
      value = rng.normal(0, 1.5 * spread, leaf.shape)
    elif name in ("scale", "var"):
      value = rng.uniform(0.5, 1.5, leaf.shape)
    else:
      value = rng.uniform(-0.3, 0.3, leaf.shape)
    return value.astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, flax.core.unfreeze(shapes))


def _inputs(crop_size, batch=2):
  rng = np.random.default_rng(1)
  image = rng.uniform(0, 1, (batch, crop_size, crop_size, 6))
  audio = rng.uniform(0, 2, (batch, 16, 512))
  return image.astype(np.float32), audio.astype(np.float32)


def _oracle_with(torch, variables, crop_size):
  oracle = _make_oracle(torch)[0](_WIDTH, crop_size).double()
  _load(torch, oracle, variables["params"], variables["batch_stats"])
  return oracle


def _as_torch(torch, image, audio):
  return (
    torch.tensor(image.transpose(0, 3, 1, 2), dtype=torch.float64),
    torch.tensor(audio, dtype=torch.float64),
  )


@pytest.fixture(scope="module")
def torch():
  return pytest.importorskip("torch", reason="needs PyTorch as the oracle")


@pytest.mark.parametrize("crop_size", [88, 168])
def test_unet_equals_pytorch(torch, crop_size):
  image, audio = _inputs(crop_size)
  model = UNet(_WIDTH)
  variables = _random_variables(model, image, audio)
  oracle = _oracle_with(torch, variables, crop_size).eval()
  with torch.no_grad():
    expected = oracle(*_as_torch(torch, image, audio)).numpy()
  assert expected.std() > 0.05
  apply = jax.jit(lambda v, i, a: model.apply(v, i, a, train=False))
  drawn = apply(variables, image, audio)
  assert drawn.shape == (2, crop_size - 8, crop_size - 8, 3)
  np.testing.assert_allclose(drawn, expected.transpose(0, 2, 3, 1), atol=2e-5)


def test_unet_trains_as_pytorch_does(torch):
  """Batch statistics, their running averages, and gradients."""
  image, audio = _inputs(88)
  model = UNet(_WIDTH)
  variables = _random_variables(model, image, audio)
  weight = np.random.default_rng(2).normal(size=(2, 80, 80, 3))
  weight = weight.astype(np.float32)

  @jax.jit
  def run(params):
    def loss(params):
      drawn, updates = model.apply(
        variables | {"params": params},
        image,
        audio,
        train=True,
        mutable=["batch_stats"],
      )
      return (drawn * weight).sum(), (drawn, updates["batch_stats"])

    return jax.value_and_grad(loss, has_aux=True)(params)

  (_, (drawn, stats)), grads = run(variables["params"])
  oracle = _oracle_with(torch, variables, 88).train()
  counts = {}
  for norm in oracle.modules():
    if isinstance(norm, torch.nn.BatchNorm2d):
      norm.register_forward_hook(
        lambda m, _, out: counts.update({m: out.numel() // out.shape[1]})
      )
  expected = oracle(*_as_torch(torch, image, audio))
  oracle_weight = torch.tensor(weight.transpose(0, 3, 1, 2))
  (expected * oracle_weight).sum().backward()
  np.testing.assert_allclose(
    drawn, expected.detach().numpy().transpose(0, 2, 3, 1), atol=1e-4
  )
  branch = ("AudioBranch_0", "ConvBlock_0")
  for path in (("ConvBlock_0",), ("ConvBlock_9",), ("UpBlock_0",), branch):
    part, old, new = oracle, variables["batch_stats"], stats
    for name in path:
      part, old, new = part.parts[name], old[name], new[name]
    norm, old, new = part[1], old["BatchNorm_0"], new["BatchNorm_0"]
    np.testing.assert_allclose(
      new["mean"], norm.running_mean.numpy(), atol=1e-4
    )
    # PyTorch averages the unbiased variance, flax the biased one.
    step = norm.running_var.numpy() - 0.9 * old["var"]
    biased = 0.9 * old["var"] + step * (counts[norm] - 1) / counts[norm]
    np.testing.assert_allclose(new["var"], biased, rtol=1e-3)
  for block in ("ConvBlock_0", "ConvBlock_11", "UpBlock_0", "UpBlock_3"):
    up = block.startswith("Up")
    ours = grads[block]["kernel"] if up else grads[block]["Conv_0"]["kernel"]
    gradient = oracle.parts[block][0].weight.grad.numpy()
    error = _to_torch_kernel(ours, transposed=up) - gradient
    # Where rounding moves a number across ReLU's kink, single values differ.
    assert np.linalg.norm(error) < 0.01 * np.linalg.norm(gradient)


@pytest.mark.parametrize("dim", sorted(_MAPS))
def test_audio_branch_equals_pytorch(torch, dim):
  rng = np.random.default_rng(dim)
  rows = rng.uniform(0, 1, (2, 16, dim)).astype(np.float32)
  branch = AudioBranch(6, 2)
  variables = _random_variables(branch, rows)
  oracle = _make_oracle(torch)[1](6, 2, _MAPS[dim]).double().eval()
  _load(torch, oracle, variables["params"], variables["batch_stats"])
  with torch.no_grad():
    expected = oracle(torch.tensor(rows, dtype=torch.float64)).numpy()
  ours = jax.jit(lambda v, r: branch.apply(v, r, train=False))(variables, rows)
  assert ours.shape == (2, 5, 5, 6)
  np.testing.assert_allclose(ours, expected.transpose(0, 2, 3, 1), atol=2e-5)


@pytest.mark.parametrize("dim", sorted(_MAPS))
def test_feature_map_is_row_major_and_channels_last(dim):
  channels, height, columns = _MAPS[dim]
  rows = np.arange(2 * 16 * dim, dtype=np.float32).reshape(2, 16, dim)
  ours = np.asarray(feature_map(rows))
  assert ours.shape == (2, height, columns, channels)
  rng = np.random.default_rng(0)
  for _ in range(50):
    c, y, x = rng.integers((channels, height, columns))
    position = (c * height + y) * columns + x
    assert ours[1, y, x, c] == rows[1, position // dim, position % dim]


def test_a_window_without_a_map_is_refused():
  with pytest.raises(ValueError, match="16 rows of 500 numbers"):
    feature_map(jnp.zeros((1, 16, 500)))
  with pytest.raises(ValueError, match="15 rows of 512 numbers"):
    feature_map(jnp.zeros((1, 15, 512)))


def _count(shapes):
  return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_full_network_has_its_exact_size():
  def conv(i, o):
    return 9 * i * o + 2 * o

  def double(i, o):
    return conv(i, o) + conv(o, o)

  widths = [64, 128, 256, 512, 1_024, 1_024, 1_024]
  encoder = sum(map(double, [6, *widths[:-1]], widths))
  branch = sum(map(conv, [32, 64, 128, 256, 512], [64, 128, 256, 512, 1_024]))
  fusion = (1_024 + 1) * 2_048 + double(1_024, 1_024)
  # The third kernel brings 20 back to the odd 41.
  kernels = [2, 2, 2, 3, 2, 2]
  decoder = sum(
    k * k * i * o + 2 * o + double(2 * o, o)
    for k, i, o in zip(kernels, widths[1:], widths, strict=False)
  )
  unet = encoder + branch + fusion + decoder + (64 + 1) * 3
  assert unet == 163_709_763
  spec = network.NetworkSpec(
    "unet", 64, 328, 32, features.audio_spec("ave", 25)
  )
  model = network.build(spec)
  inputs = network.example_inputs(spec, 3)
  variables = jax.eval_shape(model.init, jax.random.key(0), *inputs)
  assert _count(variables["params"]["unet"]) == unet
  assert _count(variables["params"]["ave"]) == 2_812_672
  drawn = jax.eval_shape(model.apply, variables, *inputs)
  assert (drawn.shape, drawn.dtype) == ((3, 320, 320, 3), jnp.float32)


def test_levels_of_the_full_network():
  image = jax.ShapeDtypeStruct((1, 328, 328, 6), jnp.float32)
  audio = jax.ShapeDtypeStruct((1, 16, 512), jnp.float32)

  def run(image, audio):
    _, captured = UNet().init_with_output(
      jax.random.key(0), image, audio, train=False, capture_intermediates=True
    )
    return captured["intermediates"]

  seen = jax.eval_shape(run, image, audio)
  pairs = [(328, 64), (164, 128), (82, 256), (41, 512)]
  pairs += [(20, 1_024), (10, 1_024), (5, 1_024)]
  expected = [pair for pair in pairs for _ in range(2)]
  expected += expected[-2:] + [p for p in pairs[-2::-1] for _ in range(2)]
  shapes = [
    seen[f"ConvBlock_{k}"]["__call__"][0].shape for k in range(len(expected))
  ]
  assert shapes == [(1, size, size, width) for size, width in expected]
  assert f"ConvBlock_{len(expected)}" not in seen
  branch = seen["AudioBranch_0"]["__call__"][0]
  assert branch.shape == (1, 5, 5, 1_024)


@pytest.mark.parametrize(
  ("crop_size", "sizes"),
  [
    (328, (328, 164, 82, 41, 20, 10, 5)),
    (168, (168, 84, 42, 21, 10, 5)),
    (88, (88, 44, 22, 11, 5)),
  ],
)
def test_level_sizes(crop_size, sizes):
  assert level_sizes(crop_size) == sizes


@pytest.mark.parametrize("crop_size", [-8, 0, 5, 11, 24, 79, 96, 256, 384])
def test_a_crop_that_does_not_halve_to_five_is_refused(crop_size):
  with pytest.raises(ValueError, match=f"{crop_size} .*such as 328 or 168"):
    level_sizes(crop_size)


def test_a_level_cannot_triple():
  with pytest.raises(ValueError, match="cannot double 5 to 12; expected 10 or"):
    jax.eval_shape(
      lambda: UpBlock(2, 12).init(
        jax.random.key(0), jnp.zeros((1, 5, 5, 2)), train=False
      )
    )


def test_jit_equals_eager():
  """jaxlib 0.10 has a fusion that computes garbage on CPU."""
  spec = network.NetworkSpec("unet", 2, 88, 2, features.audio_spec("ave", 25))
  model = network.build(spec)
  rng = np.random.default_rng(0)
  crop = rng.integers(0, 256, (2, 88, 88, 3), dtype=np.uint8)
  audio = rng.uniform(-4, 4, (2, *spec.window_shape[:2])).astype(np.float32)
  starts = np.sort(rng.integers(0, 48, (2, 16)).astype(np.int32), axis=1)
  variables = _random_variables(model, crop, audio, starts)

  def apply(variables, crop, audio, starts):
    drawn, captured = model.apply(
      variables,
      crop,
      audio,
      starts,
      capture_intermediates=lambda module, method: (
        isinstance(module, (UNet, AveEncoder, AudioBranch))
        and method == "__call__"
      ),
      mutable=["intermediates"],
    )
    return drawn, captured

  eager = apply(variables, crop, audio, starts)
  jitted = jax.jit(apply)(variables, crop, audio, starts)
  assert len(jax.tree.leaves(eager)) == 4
  for ours, expected in zip(
    jax.tree.leaves(jitted), jax.tree.leaves(eager), strict=True
  ):
    np.testing.assert_allclose(
      ours, expected, atol=3e-4 * np.abs(expected).max()
    )
    assert np.std(expected) > 0.01


def test_half_precision_keeps_parameters_statistics_and_result_in_float32():
  spec = network.NetworkSpec("unet", 2, 88, 2, features.audio_spec("ave", 25))
  model = network.build(spec, jnp.bfloat16)
  inputs = network.example_inputs(spec, 2)

  def run(*inputs):
    variables = model.init(jax.random.key(0), *inputs)
    return variables, model.apply(
      variables, *inputs, train=True, mutable=["batch_stats"]
    )

  shapes = jax.eval_shape(run, *inputs)
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {
    jnp.dtype(jnp.float32)
  }
