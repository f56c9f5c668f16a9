"""What a run's folder remembers, and what it refuses."""

import dataclasses
import json

import pytest
from prepared_data import TALKING_SHAPES, TALKING_SPEC, make_data

from configs import default
from input_pipeline.errors import InputError
from synctalk_jax import run_folder
from synctalk_jax.checkpoint import restore_for_inference


def _config(**overrides):
  config = default.get_config()
  config.data.path = "data"
  config.data.crop_size = 88
  config.model.width = 2
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in overrides.items()}
  )
  return config


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
  return make_data(tmp_path_factory.mktemp("prepared") / "data", talking=True)


@pytest.fixture
def run(tmp_path, manifest):
  return run_folder.open_for_training(tmp_path / "run", _config(), manifest)


def _other_data(manifest):
  clips = (dataclasses.replace(manifest.clips[0], sha256="1" * 64),)
  return dataclasses.replace(manifest, clips=clips)


def test_a_run_is_read_back_as_it_was_written(run):
  assert run_folder.load(run.folder) == run
  assert run.spec.crop_size == 88
  assert run.spec.audio == TALKING_SPEC
  assert run.config["train.batch_size"] == 8
  assert [path.name for path in run.folder.iterdir()] == ["run.json"]


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path, manifest):
  (tmp_path / "empty").mkdir()
  for folder in (tmp_path / "empty", tmp_path / "a" / "b"):
    run_folder.open_for_training(folder, _config(), manifest)
    assert (folder / "run.json").is_file()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_is_left_alone(tmp_path, manifest, kind):
  path = tmp_path / "mine"
  if kind == "folder":
    path.mkdir()
    (path / "thesis.txt").write_text("ten years")
  else:
    path.write_text("ten years")
  before = sorted(tmp_path.rglob("*"))
  with pytest.raises(InputError, match="is no training run; give --workdir a"):
    run_folder.open_for_training(path, _config(), manifest)
  assert sorted(tmp_path.rglob("*")) == before


def test_what_may_change_may_change(run, manifest):
  config = _config(
    train__steps=99, train__lr=0.5, train__grad_clip=0.0, mesh__fsdp=2
  )
  again = run_folder.open_for_training(run.folder, config, manifest)
  assert again.config["train.steps"] == 99


@pytest.mark.parametrize(
  ("override", "expected"),
  [
    ({"model__width": 3}, "is a run with width 2, now it is 3"),
    ({"audio__width": 16}, "is a run with audio_width 32, now it is 16"),
    ({"seed": 1}, "is a run with seed 0, now it is 1"),
    ({"train__batch_size": 16}, "is a run with train.batch_size 8, now it"),
    ({"train__loss": "l2"}, "is a run with train.loss 'l1', now it is 'l2'"),
    ({"model__dtype": "bfloat16"}, "is a run with model.dtype 'auto'"),
  ],
)
def test_another_run_under_the_same_name_is_refused(
  run, manifest, override, expected
):
  before = (run.folder / "run.json").read_bytes()
  with pytest.raises(InputError) as caught:
    run_folder.open_for_training(run.folder, _config(**override), manifest)
  assert expected in str(caught.value)
  assert "give a new --workdir" in str(caught.value)
  assert (run.folder / "run.json").read_bytes() == before


def test_other_data_under_the_same_name_are_refused(run, manifest):
  config = _config(data__path="elsewhere")
  with pytest.raises(InputError, match=r"data of clips \['someone'\].*elsewh"):
    run_folder.open_for_training(run.folder, config, _other_data(manifest))
  # Moved, they are still the same data.
  run_folder.open_for_training(run.folder, config, manifest)


def test_data_of_another_shape_or_encoder_are_refused_for_training(
  tmp_path, manifest
):
  with pytest.raises(
    InputError,
    match=r"crops of 88 pixels, the config wants 168; pass "
    r"--config\.data\.crop_size=88 or prepare with --crop-size 168",
  ):
    run_folder.open_for_training(
      tmp_path / "run", _config(data__crop_size=168), manifest
    )
  other = dataclasses.replace(
    manifest, audio=manifest.audio | {"encoder": "hubert"}
  )
  with pytest.raises(
    InputError, match="encoder 'hubert', the config wants 'ave'; prepare with"
  ):
    run_folder.open_for_training(tmp_path / "run", _config(), other)
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  ("audio", "crop_size", "expected"),
  [
    ({}, 168, "crop_size 88, .* has 168"),
    ({"encoder": "hubert"}, 88, "audio encoder 'ave', .* has 'hubert'"),
    ({"fps": 20}, 88, "audio fps 25, .* has 20"),
    ({"row_offset": 0}, 88, "audio row_offset -6, .* has 0"),
    ({"layer": 9}, 88, "audio layer None, .* has 9"),
  ],
)
def test_a_network_refuses_data_that_it_cannot_read(
  run, manifest, audio, crop_size, expected
):
  run_folder.check_data(run, manifest)
  other = dataclasses.replace(
    manifest,
    audio=manifest.audio | audio,
    shapes=dataclasses.replace(TALKING_SHAPES, crop_size=crop_size),
  )
  with pytest.raises(InputError, match=f"{expected}; prepare the video again"):
    run_folder.check_data(run, other)


def test_a_folder_without_a_run_is_refused(tmp_path):
  with pytest.raises(InputError, match=r"no run\.json; expected the --workdir"):
    run_folder.load(tmp_path)


@pytest.mark.parametrize(
  "text", ["", "{", "[]", "null", '{"format_version": 1}', "\udcff"]
)
def test_a_damaged_description_is_refused(run, text):
  path = run.folder / "run.json"
  path.write_bytes(text.encode("utf-8", "surrogateescape"))
  with pytest.raises(InputError, match=r"run\.json is damaged"):
    run_folder.load(run.folder)


def test_another_version_is_refused(run):
  path = run.folder / "run.json"
  path.write_text(
    json.dumps(json.loads(path.read_text()) | {"format_version": 7})
  )
  with pytest.raises(
    InputError, match="format version 7, this program reads 1"
  ):
    run_folder.load(run.folder)


def test_a_run_without_a_checkpoint_is_refused(run):
  expected = "has no checkpoint yet; run python -m synctalk_jax.train"
  with pytest.raises(InputError, match=expected):
    restore_for_inference(run)
  run.checkpoints.mkdir()
  with pytest.raises(InputError, match=expected):
    restore_for_inference(run)
