"""Label aggregators, one strategy a module."""
