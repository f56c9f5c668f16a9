"""The seed's network: U-Net at 328 pixels, AVE audio encoder, 25 fps.

  python -m synctalk_jax.train --config configs/ave.py --workdir runs/anna \
      --config.data.path=data/anna

Hardware: one GPU with 16 GB or more. 50,000 steps of 8 are 53 passes over
five minutes of video.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
  """The defaults are this recipe."""
  return default.get_config()
