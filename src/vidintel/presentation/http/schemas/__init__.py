"""The JSON of the API. Entities become these at the edge and nowhere else."""
