"""The words and rules of drift detection as a service: pure, without I/O, clock or library of the edges."""
