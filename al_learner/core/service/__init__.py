"""What the learner speaks to besides the database.

Here live: the Redis channels, and for monitors HTTP and the heartbeat. Nothing here decides: it passes on messages and
answers.
"""
