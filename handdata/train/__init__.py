"""Fit, resume, evaluate and apply the published models; torch lives here."""
