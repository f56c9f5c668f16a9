"""The portrait is the one that the contours were traced on, or an error."""

import importlib.util

import numpy as np
import pytest

from input_pipeline import demo_portrait
from input_pipeline.errors import InputError


def test_portrait_is_upright_rgb_of_512():
  pytest.importorskip("skimage")
  picture = demo_portrait.load_portrait()
  assert picture.shape == (512, 512, 3)
  assert picture.dtype == np.uint8
  red, _, blue = picture[300:380, 220:290].reshape(-1, 3).mean(0)
  assert red > blue + 20  # skin, so the channels are not swapped


def test_missing_scikit_image_names_the_extra(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(InputError, match=r"pip install 'synctalk-jax\[demo\]'"):
    demo_portrait.load_portrait()


def test_another_picture_is_refused(monkeypatch):
  pytest.importorskip("skimage")
  monkeypatch.setattr(demo_portrait, "_FILE", "data/__init__.py")
  with pytest.raises(InputError, match="another picture"):
    demo_portrait.load_portrait()


@pytest.mark.parametrize(
  "contour",
  [
    demo_portrait.UPPER_OUTER,
    demo_portrait.UPPER_INNER,
    demo_portrait.LOWER_INNER,
    demo_portrait.LOWER_OUTER,
    *(eye.upper for eye in demo_portrait.EYES),
    *(eye.lower for eye in demo_portrait.EYES),
  ],
)
def test_contours_run_from_left_to_right(contour):
  assert len(contour.x) == len(contour.y)
  assert np.diff(contour.x).min() > 0


def test_lids_and_inner_lips_share_their_corners():
  pairs = [(demo_portrait.UPPER_INNER, demo_portrait.LOWER_INNER)]
  pairs += [(eye.upper, eye.lower) for eye in demo_portrait.EYES]
  for upper, lower in pairs:
    ends = np.array([upper.x[0], upper.x[-1]])
    np.testing.assert_array_equal(upper.at(ends), lower.at(ends))
    assert (lower.x[0], lower.x[-1]) == (upper.x[0], upper.x[-1])
