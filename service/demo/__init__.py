"""The demonstration: the whole way through on real data. It knows the service by its command line and HTTP only."""
