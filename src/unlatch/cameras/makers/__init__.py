"""One file per kind of camera, found by walking this folder."""
