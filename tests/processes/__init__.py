"""Real servers and real service processes for the tests, and the traffic that is sent to them."""
