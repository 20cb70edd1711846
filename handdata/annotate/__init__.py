"""Hand boxes in minutes: a KCF tracker, a session that loses no edit, and a local web page."""
