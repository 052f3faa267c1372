"""What Temporal stores is encrypted: keys, the payload codec, and the server that lets people read it."""
