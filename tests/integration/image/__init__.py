"""The image and the wheel in it: built from the unchanged Dockerfile, run as a cluster would run it."""
