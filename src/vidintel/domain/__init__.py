"""The rules of video analysis: entities, value objects and pure functions. Imports only the standard library."""
