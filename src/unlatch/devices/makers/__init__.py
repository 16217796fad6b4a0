"""One file = one maker. `devices.catalogue` finds them by walking this folder; nothing else names them."""
