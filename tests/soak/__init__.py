"""What takes minutes or hours, as functions: a short form is in the suite, the long one is `make soak`."""
