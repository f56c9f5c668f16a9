"""A data folder that is not what it should be is refused with the reason."""

import dataclasses
import json

import prepared_data
import pytest

from input_pipeline import manifest, schema
from input_pipeline.errors import InputError


@pytest.fixture
def data(tmp_path):
  return prepared_data.make_data(tmp_path / "data")


def change(data, **fields):
  path = data.folder / manifest.FILE_NAME
  path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_load_returns_what_was_saved(data):
  assert manifest.load(data.folder) == data


def test_another_schema_version_is_refused(data):
  change(data, schema_version=schema.SCHEMA_VERSION + 1)
  with pytest.raises(InputError, match=r"schema version 2, .* reads 1"):
    manifest.load(data.folder)


def test_a_missing_field_is_named(data):
  path = data.folder / manifest.FILE_NAME
  fields = json.loads(path.read_text())
  del fields["audio"]
  path.write_text(json.dumps(fields))
  with pytest.raises(InputError, match="audio"):
    manifest.load(data.folder)


def test_other_json_is_refused(data):
  (data.folder / manifest.FILE_NAME).write_text("[1, 2]")
  with pytest.raises(InputError, match="no manifest of prepared data"):
    manifest.load(data.folder)


def test_unknown_shard_format_is_refused(data):
  change(data, shard_format="zip")
  with pytest.raises(InputError, match="'zip'"):
    manifest.load(data.folder)


def test_folder_without_manifest_says_how_to_make_one(tmp_path):
  with pytest.raises(InputError, match=r"input_pipeline\.prepare --video"):
    manifest.load(tmp_path)


def test_unfinished_folder_says_so(tmp_path):
  (tmp_path / manifest.PROGRESS_NAME).mkdir()
  with pytest.raises(InputError, match="unfinished"):
    manifest.load(tmp_path)


def test_changed_index_is_refused(data):
  other = dataclasses.replace(data, index_sha256="0" * 64)
  with pytest.raises(InputError, match=r"index\.npz is missing or damaged"):
    manifest.load_index(other, "train")


def test_unknown_clip_lists_the_clips(data):
  with pytest.raises(InputError, match="it has: someone"):
    manifest.load_clip(data, "nobody")


def test_clip_without_its_video_is_refused(data):
  with pytest.raises(InputError, match=r"source\.mp4 is missing or changed"):
    manifest.load_clip(data)
