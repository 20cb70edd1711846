"""Hand boxes in minutes: a tracker, a session that loses no edit, and a local web page."""
