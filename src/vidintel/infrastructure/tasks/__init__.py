"""The task engine: Dramatiq as a task_queue. The truth about work lies in the database."""
