"""The one error that Blender's side shows to the artist."""


class ArtistError(Exception):
    """Something the artist can act on: one sentence with the value seen, what is wanted and what to do."""
