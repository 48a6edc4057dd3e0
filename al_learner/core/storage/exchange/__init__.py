"""Reads and writes of whole tables, for exports and imports. No run uses them."""
