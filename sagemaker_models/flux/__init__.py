"""FLUX.1 with PuLID: pictures after a prompt, that keep the identity of a face, and a second pass over a picture."""
