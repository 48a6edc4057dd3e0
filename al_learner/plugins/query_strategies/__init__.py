"""Query strategies, one strategy a module."""
