"""Pages for this machine's own browser: who may ask, and the server under them."""
