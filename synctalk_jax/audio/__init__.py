"""Speech in, features out: pure functions of arrays, jitted, batched."""
