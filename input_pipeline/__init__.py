"""From a filmed person to shards of face crops and audio windows."""
