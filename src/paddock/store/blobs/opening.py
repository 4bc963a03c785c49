"""Which place the settings mean."""

from __future__ import annotations

from paddock.errors import StartupError
from paddock.settings import Settings
from paddock.store.blobs.blobs import Blobs
from paddock.store.blobs.local import LocalBlobs

FOLDER = "blobs"


def open_blobs(settings: Settings) -> Blobs:
    """The folder `blobs` of the data folder, or the bucket that the setting names.

    Raises:
        StartupError: the folder cannot be made, the setting is not understood, or what speaks S3 is not
            installed.
    """
    if settings.blobs is None:
        return LocalBlobs(settings.data_dir / FOLDER)
    if not settings.blobs.startswith("s3://"):
        raise StartupError(
            f"blobs must be s3://BUCKET or s3://BUCKET/PREFIX, not {settings.blobs!r}; without it files lie"
            " in the data folder"
        )
    try:
        # What speaks S3 is an extra of 60 MB that only those install who use it.
        from paddock.store.blobs.s3 import S3Blobs
    except ImportError:
        raise StartupError(
            f"blobs = {settings.blobs!r} needs what speaks S3: pip install 'paddock[s3]'"
        ) from None
    return S3Blobs(settings.blobs)
