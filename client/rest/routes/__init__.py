"""The routes, one file per noun; each has a `router`, which `client.rest.app` lists."""
