"""What the service does, one verb a file: the only asynchronous logic between the edges and the pure domain."""
