"""The bytes of files and of batches' answers: in the data folder, or in S3-compatible storage.

Rows say what there is; a blob is only ever found by the key that a row has kept.
"""

from paddock.store.blobs.blobs import PIECE, Blob, Blobs, BlobWriter, new_blob
from paddock.store.blobs.opening import open_blobs

__all__ = ["PIECE", "Blob", "BlobWriter", "Blobs", "new_blob", "open_blobs"]
