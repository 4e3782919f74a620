"""The task engine: Dramatiq wakes workers. The truth about work lies in the database."""
