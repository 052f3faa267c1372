"""A scripted model server on loopback that speaks the providers' wire formats, for tests of real programs."""
