"""One file a recipe: `python -m synctalk_jax.train --config configs/ave.py`."""
