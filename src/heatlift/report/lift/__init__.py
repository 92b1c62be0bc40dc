"""A lift's report."""
