"""Lines are there at once; a resumed run reads like an unbroken one."""

import json

import numpy as np

from synctalk_jax.metric_writer import MetricWriter


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path):
  path = tmp_path / "metrics.jsonl"
  writer = MetricWriter(path, 0)
  writer.write(3, {"loss": np.float32(0.25), "lr": 1e-3})
  assert _lines(path) == [{"step": 3, "loss": 0.25, "lr": 0.001}]
  writer.close()


def test_steps_that_are_computed_again_and_torn_lines_are_dropped(tmp_path):
  path = tmp_path / "metrics.jsonl"
  writer = MetricWriter(path, 0)
  for step in range(1, 6):
    writer.write(step, {"loss": step})
  writer.write(2, {"eval_pixel": 0.5})
  writer.close()
  with path.open("a") as file:
    file.write('{"step": 6, "lo')
  writer = MetricWriter(path, 3)
  writer.write(4, {"loss": 40})
  writer.close()
  kept = _lines(path)
  assert [line["step"] for line in kept] == [1, 2, 3, 2, 4]
  assert kept[3] == {"step": 2, "eval_pixel": 0.5}
  assert kept[4]["loss"] == 40
  assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]
