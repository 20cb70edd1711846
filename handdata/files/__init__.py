"""Files: locks, files written whole or not at all, and tables read from text."""
