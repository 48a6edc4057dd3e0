"""The settings.

Here live: every setting with its type, default and meaning, and how environment, file and arguments become one frozen
`Settings` with all problems reported together. No connection is made here.
"""
