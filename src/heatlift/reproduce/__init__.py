"""Two papers' figures and tables, measured here and set beside what was printed."""
