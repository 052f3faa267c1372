"""The REST interface: what people and programs do to projects, over HTTP, with nothing decided here."""
