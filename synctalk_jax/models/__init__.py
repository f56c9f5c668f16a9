"""The networks; nothing here imports anything else of ours."""
