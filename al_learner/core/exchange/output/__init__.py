"""What an export contains, and how it is written: tables, and files for other tools.

Nothing here reads a file, and nothing here knows how a classifier is loaded.
"""
