"""The report of masks."""
