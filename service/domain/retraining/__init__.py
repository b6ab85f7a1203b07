"""From a believed alarm to one vetted run, and what is written down of it."""
