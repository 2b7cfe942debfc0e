"""Programs that show what the library is for. Run one with `python -m tensorflowlite_bp.examples.<name>`."""
