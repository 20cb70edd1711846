"""Hand boxes in minutes: a KCF tracker, a session that loses nothing, and a local web page."""
