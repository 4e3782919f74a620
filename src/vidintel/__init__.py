"""Video intelligence: upload a video, ask what was seen and when."""
