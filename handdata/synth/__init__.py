"""Rendered, labelled hands, and one writer a dataset that puts them in its native layout."""
