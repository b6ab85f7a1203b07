"""Questions of speed, each answered by two ways side by side in one run."""
