"""The library: every part, from the interfaces up to a project."""
