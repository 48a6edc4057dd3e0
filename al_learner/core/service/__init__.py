"""What the learner speaks to besides the database.

Here live: the Redis channels, and HTTP for monitors. Nothing here decides: it passes on messages and answers.
"""
