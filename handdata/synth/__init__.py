"""Rendered, labelled hands, and one writer per dataset for its native layout."""
