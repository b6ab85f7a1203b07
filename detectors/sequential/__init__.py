"""Detectors that watch a stream row by row, in bounded memory, and state how long they run until a false alarm."""
