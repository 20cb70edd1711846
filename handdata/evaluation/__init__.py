"""Evaluation: predictions beside labels, measured by every published protocol. No torch."""
