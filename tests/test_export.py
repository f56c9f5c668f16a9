"""One export of a tiny run, called from processes without JAX."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from prepared_data import make_data

from configs import demo
from input_pipeline import manifest as manifest_lib
from input_pipeline.dataset import train_dataset
from input_pipeline.errors import InputError
from synctalk_jax import (
  export,
  export_check,
  exporter,
  network,
  optim,
  run_folder,
  saved_model_client,
  train_state,
)
from synctalk_jax.audio import features
from synctalk_jax.checkpoint import Checkpoints, restore_for_inference
from synctalk_jax.train_step import make_predict

_STEP = 7


def _config(data: Path):
  config = demo.get_config()
  config.data.path = str(data)
  config.data.crop_size = 88
  config.model.width = 4
  return config


def _draw_state(abstract):
  """A state whose networks keep contrasts, each leaf drawn by itself.

  Compiling the initialisers would take longer than all tests here.
  """
  rng = np.random.default_rng(0)

  def draw(path, x):
    name = path[-1].key if hasattr(path[-1], "key") else ""
    if name == "kernel":
      spread = np.sqrt(2.0 / np.prod(x.shape[:-1]))
      return jnp.asarray(spread * rng.standard_normal(x.shape), x.dtype)
    return jnp.full(x.shape, name in ("scale", "var"), x.dtype)

  return jax.tree_util.tree_map_with_path(draw, abstract)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A run whose averaged weights are others than its newest ones."""
  folder = tmp_path_factory.mktemp("run")
  manifest = make_data(folder / "data", talking=True)
  config = _config(folder / "data")
  run = run_folder.open_for_training(folder / "run", config, manifest)
  tx = optim.make_optimizer(config.train)
  state = _draw_state(
    jax.eval_shape(lambda: train_state.create(run.spec, tx, 0))
  ).replace(step=jnp.int32(_STEP))
  with Checkpoints(run, 1) as checkpoints:
    checkpoints.save(state, iter(train_dataset(manifest, 8, 0)))
  return run


@pytest.fixture(scope="module")
def out(run, tmp_path_factory):
  """The folder of its first exported version."""
  out = tmp_path_factory.mktemp("exports") / "someone"
  assert export.main(["--workdir", str(run.folder), "--out", str(out)]) == 0
  return out


@pytest.fixture
def metadata(out):
  return json.loads((out / "1/assets.extra/synctalk.json").read_text())


@pytest.fixture
def quick(monkeypatch):
  """Leaves out the SavedModel and its check: what is left is the folders."""
  monkeypatch.setattr(exporter, "check", lambda *_: {})
  saved_model = pytest.importorskip("synctalk_jax.saved_model")
  monkeypatch.setattr(saved_model, "write", lambda *_: {})


def _requests(spec, batch):
  rng = np.random.default_rng(batch)
  size, (length, dim, num_rows) = spec.crop_size, spec.window_shape
  return {
    "crop": rng.integers(0, 256, (batch, size, size, 3), np.uint8),
    "audio": rng.uniform(-4, 4, (batch, length, dim)).astype(np.float32),
    "audio_starts": np.tile(
      np.arange(num_rows, dtype=np.int32) * 16 // 5, (batch, 1)
    ),
  }


def test_answers_without_jax_are_those_of_the_averaged_weights(run, out):
  inputs = {batch: _requests(run.spec, batch) for batch in (2, 7)}
  samples = np.random.default_rng(0).integers(-9_000, 9_000, 7_301, np.int16)
  answers = export_check.run_client(
    out,
    {
      f"{batch}/{signature}/{name}": array
      for batch, arrays in inputs.items()
      for signature in ("serving_default", "predict_float")
      for name, array in arrays.items()
    }
    | {"sound/encode_audio/samples": samples},
  )
  step, variables = restore_for_inference(run)
  predict = jax.jit(make_predict(network.build(run.spec)))
  assert step == _STEP
  for batch, arrays in inputs.items():
    expected = np.asarray(predict(variables, **arrays))
    assert np.std(expected) > 0.1
    face = answers[f"{batch}/predict_float/face"]
    levels = answers[f"{batch}/serving_default/face"]
    assert face.shape == (batch, 80, 80, 3)
    assert levels.dtype == np.uint8
    np.testing.assert_allclose(face, expected, rtol=0, atol=1e-5)
    # To the nearest level, give or take the float error at a half.
    assert np.abs(levels - 255.0 * face).max() < 0.51
  np.testing.assert_allclose(
    answers["sound/encode_audio/stream"],
    features.extract(samples, run.spec.audio),
    atol=1e-4,
  )


def test_metadata_tell_what_a_client_must_know(run, metadata):
  assert metadata["schema_version"] == exporter.SCHEMA_VERSION
  assert metadata["step"] == _STEP
  assert metadata["network"] == {
    "model": "unet",
    "width": 4,
    "crop_size": 88,
    "audio_width": run.spec.audio_width,
    "border": 4,
  }
  assert metadata["audio"] == features.audio_spec("ave", 25)
  assert metadata["window"] == {"rows": 64, "dim": 80, "starts": 16}
  assert metadata["data"] == run.data
  assert set(metadata["versions"]) == {"jax", "jaxlib", "tensorflow"}
  for program in metadata["programs"].values():
    assert program["platforms"] == ["CPU", "CUDA", "TPU"]
    # TensorFlow 2.20 and 2.21 read up to these.
    assert program["calling_convention"] <= 10
    assert int(program["stablehlo"].split(".")[1]) <= 15


def test_measured_differences_lie_beside_the_model(metadata):
  measured = metadata["check"]
  # Six of the seven held-out records have a face.
  assert measured["records"] == 6
  assert measured["max_abs_difference"]["face_float"] <= 1e-5
  assert measured["max_abs_difference"]["face_uint8"] <= 1


def test_the_client_goes_from_sound_to_picture(out):
  process = subprocess.run(
    [sys.executable, "-P", saved_model_client.__file__, str(out)],
    env={"PATH": ""},
    capture_output=True,
    text=True,
    check=True,
  )
  assert "encode_audio gave stream float32 [81, 80]" in process.stdout
  assert "serving_default gave face uint8 [1, 80, 80, 3]" in process.stdout
  assert not process.stderr


def test_a_wrong_weight_is_found_and_leaves_nothing(
  run, out, monkeypatch, capsys
):
  from synctalk_jax import saved_model

  write = saved_model.write

  def write_wrongly(folder, spec, variables):
    leaves, tree = jax.tree.flatten(variables)
    leaves[-1] = leaves[-1] * 1.01
    return write(folder, spec, jax.tree.unflatten(tree, leaves))

  monkeypatch.setattr(saved_model, "write", write_wrongly)
  monkeypatch.setattr(export_check, "BATCH_SIZES", (1,))
  code = export.main(["--workdir", str(run.folder), "--out", str(out)])
  assert code == export.EXIT_CHECK_FAILED
  error = capsys.readouterr().err
  assert "face_float differs from the checkpoint's by" in error
  assert error.count("\n") == 1
  assert [path.name for path in out.iterdir()] == ["1"]


def test_a_failed_first_export_leaves_no_folder(
  run, quick, monkeypatch, tmp_path
):
  def fail(*_):
    raise export_check.ExportCheckError("different")

  monkeypatch.setattr(exporter, "check", fail)
  with pytest.raises(export_check.ExportCheckError):
    exporter.export_run(run, tmp_path / "new")
  assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_run_is_one_line(tmp_path):
  with pytest.raises(export_check.ExportCheckError) as raised:
    export_check.run_client(tmp_path, {"a": np.zeros(1)})
  assert "holds no SavedModel" in str(raised.value)
  assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["face_float", "face_uint8", "stream"])
def test_a_difference_that_is_no_number_is_refused(name):
  differences = dict.fromkeys(export_check.TOLERANCES, 0.0)
  with pytest.raises(export_check.ExportCheckError, match=f"{name} differs"):
    export_check._refuse_large(differences | {name: float("nan")})


def test_versions_count_up_and_remains_of_a_kill_are_removed(
  run, quick, tmp_path
):
  (tmp_path / ".unfinished/variables").mkdir(parents=True)
  assert exporter.export_run(run, tmp_path).folder == tmp_path / "1"
  (tmp_path / "1").rename(tmp_path / "10")
  assert exporter.export_run(run, tmp_path).folder == tmp_path / "11"
  assert {path.name for path in tmp_path.iterdir()} == {"10", "11"}
  assert saved_model_client.newest_version(_with_models(tmp_path)) == Path(
    tmp_path, "11"
  )


def _with_models(folder):
  for version in folder.iterdir():
    (version / "saved_model.pb").touch()
  return folder


@pytest.mark.parametrize("name", ["holiday.jpg", "2"])
def test_a_folder_of_something_else_is_left_alone(run, quick, tmp_path, name):
  (tmp_path / name).mkdir()
  with pytest.raises(InputError, match=f"holds '{name}', which is no export"):
    exporter.export_run(run, tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_run_without_checkpoint_is_refused(run, tmp_path, capsys):
  folder = tmp_path / "run"
  folder.mkdir()
  shutil.copy(run.folder / "run.json", folder)
  arguments = ["--workdir", str(folder), "--out", str(tmp_path / "out")]
  assert export.main(arguments) == 2
  assert "has no checkpoint yet" in capsys.readouterr().err
  assert not (tmp_path / "out").exists()


def test_an_audio_encoder_of_another_version_is_refused(run, tmp_path):
  audio = run.spec.audio | {"spec_version": 99}
  spec = network.NetworkSpec(**(vars(run.spec) | {"audio": audio}))
  old = run_folder.Run(run.folder, spec, run.config, run.data)
  with pytest.raises(InputError, match="audio features that this version"):
    exporter.export_run(old, tmp_path / "out")


def test_what_export_needs_is_named(run, monkeypatch, tmp_path):
  needed = r"pip install 'synctalk-jax\[export\]'"
  with monkeypatch.context() as patch:
    patch.setattr(exporter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"TensorFlow.*{needed}"):
      exporter.export_run(run, tmp_path / "out")
  monkeypatch.setattr(
    exporter.importlib.metadata, "version", lambda name: "0.11.2"
  )
  with pytest.raises(InputError, match=f"jax 0.11.2.*{needed}"):
    exporter.export_run(run, tmp_path / "out")


def test_footage_that_changed_is_not_compared_with(run, tmp_path):
  assert len(export_check._data_records(run, 4)) == 4
  other = make_data(tmp_path / "other", talking=True, num_train=20)
  gone = tmp_path / "gone"
  for folder in (other.folder, gone):
    config = run.config | {"data.path": str(folder)}
    moved = run_folder.Run(run.folder, run.spec, config, run.data)
    assert not export_check._data_records(moved, 4)
  assert manifest_lib.load(run.config["data.path"]).num_records("eval") == 7
