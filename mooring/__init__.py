"""The whole platform as one program: run it, fill it, check it, measure it."""
