"""A new generation of a read model, beside the live one: asked for, looked at, ended."""
