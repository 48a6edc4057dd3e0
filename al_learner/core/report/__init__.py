"""Pages and pictures about a project, and about simulated ones.

They read what others have computed. Nothing here trains, writes to the database, or loads anything from elsewhere.
"""
