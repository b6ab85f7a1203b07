"""What kind of file this is, by its bytes: whether it runs code when it is loaded. Nothing is ever loaded here."""
