"""The built-in strategies, found through entry points like anybody else's."""
