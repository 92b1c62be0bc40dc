"""Several audits side by side: what holds in all of them, and what does not."""
