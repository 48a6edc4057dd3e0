"""Init samplers, one strategy a module."""
