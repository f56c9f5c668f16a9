import numpy as np
import pytest

from input_pipeline import crops


def points(count, *, left=40.0, width=100.0, top=70.0):
  """[count, 478, 2] points whose extremes and nose are set by hand."""
  landmarks = np.full((count, 478, 2), (left + width / 2, 0.0), np.float32)
  landmarks[:, 10, 0] = left
  landmarks[:, 20, 0] = left + width
  landmarks[:, 195, 1] = top - 3
  landmarks[:, 5, 1] = top + 3
  return landmarks


def reference_crop(frame, box, size):
  """Bilinear sampling in float64, from the definition."""
  height, width = frame.shape[:2]
  left, top, side = box
  centres = (np.arange(size) + 0.5) * side / size - 0.5
  out = np.empty((size, size, 3))
  for row, y in enumerate(centres + top):
    for column, x in enumerate(centres + left):
      x0, y0 = int(np.floor(x)), int(np.floor(y))
      total = np.zeros(3)
      for yy, wy in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
        for xx, wx in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
          pixel = frame[np.clip(yy, 0, height - 1), np.clip(xx, 0, width - 1)]
          total += wy * wx * pixel
      out[row, column] = total
  return out


def smooth_picture(height=90, width=120):
  y, x = np.mgrid[:height, :width]
  waves = [128 + 100 * np.sin(x / a + y / b) for a, b in ((9, 7), (5, 11))]
  return np.stack([*waves, x + y], axis=-1).astype(np.uint8)


def test_box_is_the_silhouette_from_mid_nose_down():
  box = crops.face_boxes(points(1))
  assert box.dtype == np.float64
  assert box.tolist() == [[40.0, 70.0, 100.0]]


def test_irises_do_not_widen_the_box():
  landmarks = points(1)
  landmarks[:, 470, 0] = 500
  assert crops.face_boxes(landmarks)[0, 2] == 100


def test_box_of_no_face_is_nan():
  assert np.isnan(crops.face_boxes(points(2) * np.nan)).all()


def test_a_parabola_passes_the_filter_unchanged():
  # Order 2 reproduces a parabola exactly, at the ends too; a mean would not.
  time = np.arange(30.0)
  boxes = np.stack([time**2 / 9, 50 - time, np.full(30, 200.0)], axis=1)
  smooth, usable = crops.smooth_boxes(boxes, np.ones(30, bool))
  np.testing.assert_allclose(smooth, boxes, atol=1e-9)
  assert usable.all()


def test_an_impulse_spreads_by_the_weights_of_9_2():
  boxes = np.full((21, 3), 100.0)
  boxes[10, 0] += 23.1
  smooth, _ = crops.smooth_boxes(boxes, np.ones(21, bool))
  # Savitzky and Golay 1964, table I: quadratic, 9 points, norm 231.
  weights = np.array([-21, 14, 39, 54, 59, 54, 39, 14, -21]) / 10
  np.testing.assert_allclose(smooth[6:15, 0] - 100, weights, atol=1e-9)
  np.testing.assert_allclose(smooth[:, 1:], 100)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_short_tracks_are_handled(count):
  boxes = np.full((count, 3), 80.0)
  smooth, usable = crops.smooth_boxes(boxes, np.ones(count, bool))
  np.testing.assert_allclose(smooth, boxes)
  assert usable.all()


def test_short_gaps_are_filled_and_long_ones_are_not():
  boxes = np.full((60, 3), 100.0)
  boxes[:, 0] = np.arange(60)
  found = np.ones(60, bool)
  found[10:20] = False
  found[35:46] = False
  boxes[~found] = np.nan
  smooth, usable = crops.smooth_boxes(boxes, found)
  np.testing.assert_allclose(
    smooth[usable, 0], np.flatnonzero(usable), atol=1e-9
  )
  assert np.flatnonzero(~usable).tolist() == list(range(35, 46))
  assert smooth[36, 0] == pytest.approx(34)
  assert smooth[45, 0] == pytest.approx(46)


def test_a_cut_is_not_smoothed_over():
  boxes = np.full((40, 3), 100.0)
  boxes[20:, 0] += 26
  smooth, usable = crops.smooth_boxes(boxes, np.ones(40, bool))
  np.testing.assert_allclose(smooth, boxes)
  assert usable.all()
  boxes[20:, 0] -= 2
  assert not np.allclose(crops.smooth_boxes(boxes, np.ones(40, bool))[0], boxes)


def test_a_gap_across_a_cut_is_not_filled():
  boxes = np.full((20, 3), 100.0)
  boxes[12:, 0] += 50
  found = np.ones(20, bool)
  found[9:12] = False
  smooth, usable = crops.smooth_boxes(boxes, found)
  assert np.flatnonzero(~usable).tolist() == [9, 10, 11]
  assert set(smooth[:, 0].round(9).tolist()) == {100.0, 150.0}


def test_no_face_at_all():
  smooth, usable = crops.smooth_boxes(
    np.full((5, 3), np.nan), np.zeros(5, bool)
  )
  assert np.isnan(smooth).all()
  assert not usable.any()


@pytest.mark.parametrize(
  "box",
  [
    (20.0, 30.0, 32.0),
    (20.3, 30.7, 25.1),
    (-9.5, 60.2, 31.9),
    (100.0, -7.25, 30.0),
  ],
)
def test_crop_is_bilinear_about_pixel_centres(box):
  frame = smooth_picture()
  ours = crops.crop_face(frame, np.array(box), 32)
  reference = reference_crop(frame.astype(np.float64), box, 32)
  assert ours.shape == (32, 32, 3)
  assert ours.dtype == np.uint8
  # OpenCV interpolates in 1/32 of a pixel.
  assert np.abs(ours - reference).max() < 2
  assert np.abs((ours - reference).mean()) < 0.6


def test_a_box_on_whole_pixels_copies_them():
  frame = smooth_picture()
  ours = crops.crop_face(frame, np.array([11.0, 22.0, 40.0]), 40)
  assert np.array_equal(ours, frame[22:62, 11:51])


def test_shrinking_does_not_alias():
  # Stripes one pixel wide would turn into broad ones at a third of the size.
  frame = np.zeros((300, 300, 3), np.uint8)
  frame[:, ::2] = 200
  ours = crops.crop_face(frame, np.array([30.0, 30.0, 210.0]), 80)
  assert ours.std() < 3
  assert abs(ours.mean() - 100) < 1


def test_a_shrunk_part_equals_the_whole_picture_shrunk():
  frame = np.random.default_rng(0).integers(0, 255, (240, 240, 3), np.uint8)
  box = np.array([60.0, 66.0, 120.0])
  padded = np.pad(frame, ((50, 0), (70, 0), (0, 0)), mode="edge")
  moved = box + np.array([70, 50, 0])
  assert np.array_equal(
    crops.crop_face(frame, box, 48), crops.crop_face(padded, moved, 48)
  )


@pytest.mark.parametrize("box", [(-500.0, 10.0, 64.0), (119.0, 400.0, 300.0)])
def test_a_box_outside_the_picture_repeats_the_edge(box):
  crop = crops.crop_face(np.full((90, 120, 3), 77, np.uint8), np.array(box), 64)
  assert (crop == 77).all()


def test_points_and_pixels_move_together():
  frame = np.zeros((100, 100, 3), np.uint8)
  frame[60, 40] = 255
  box = np.array([30.0, 50.0, 20.0])
  crop = crops.crop_face(frame, box, 80)
  y, x = np.indices((80, 80))
  weights = crop[..., 0].astype(np.float64)
  centre = np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()
  # The centre of pixel 40 lies at 40.5 from the corner of the first pixel.
  moved = crops.to_crop(np.array([40.5, 60.5]), box, 80)
  np.testing.assert_allclose(centre + 0.5, moved, atol=0.05)
  back = crops.crop_matrix(box, 80) @ np.array([*(moved - 0.5), 1])
  np.testing.assert_allclose(back, [40, 60])


@pytest.mark.parametrize(
  ("box", "share"),
  [
    ((0.1, 0.1, 49.9), 0.0),
    ((-10, 0, 50), 0.2),
    ((80, 80, 40), 0.75),
    ((0, 90, 20), 0.5),
    ((200, 0, 10), 1.0),
  ],
)
def test_overhang_is_the_share_outside(box, share):
  found = crops.overhang(np.array(box), 100, 100)
  assert found == pytest.approx(share, abs=1e-15)
