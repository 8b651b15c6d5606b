"""One architecture a module; `registry` finds them by name."""
