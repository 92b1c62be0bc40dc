"""heatlift in the terms of other libraries: one file each, imported only by who uses it."""
