"""Tables, sessions, leases, migrations, blobs."""
