"""The task engine: Dramatiq as a doorbell. The truth about work lies in the database."""
