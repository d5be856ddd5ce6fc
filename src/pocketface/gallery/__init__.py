"""People and their templates: enrolled, searched exactly, never compared across networks."""

from pocketface.gallery.gallery import (
    Entry,
    Gallery,
    Maker,
    Match,
    Person,
    Stats,
    Template,
    person_name,
)
from pocketface.gallery.sqlite_gallery import SqliteGallery

__all__ = [
    "Entry",
    "Gallery",
    "Maker",
    "Match",
    "Person",
    "SqliteGallery",
    "Stats",
    "Template",
    "person_name",
]
