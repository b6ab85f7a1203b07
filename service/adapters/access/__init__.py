"""Who callers are and what they may do: adapters of `Authenticator` and `Authorizer`."""
